"""A run: the lake it works on, what it is asked to do (`Intent`), and how it opens an engine."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.lake.lake import Lake

if TYPE_CHECKING:
    from pipeline.cluster import Cluster
    from pipeline.engine import Engine

AS_OF_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Intent:
    """What a run is asked to do. `as_of` is naive UTC. A date is open until its end plus `settle`."""

    as_of: datetime
    force: bool = False
    reprocess: bool = False
    # extract the dates again, as if they were open; rebuild only the dates whose records differ
    reopen: bool = False
    allow_shrink: bool = False
    accept_fields: bool = False
    keep_going: bool = False
    settle: timedelta = timedelta(hours=6)
    max_vanished_share: float = 0.2

    @cached_property
    def stamp(self) -> str:
        """as_of as text; stamps sort like their instants."""
        return self.as_of.strftime(AS_OF_FORMAT)

    @cached_property
    def failures(self) -> str:
        """The folder in the lake for the failures of this run."""
        return f"runs/{run_name(self.as_of)}/failed"

    @cached_property
    def alerted(self) -> str:
        """The file in the lake that exists after a message about this run was sent."""
        return f"runs/{run_name(self.as_of)}/alerted"


@dataclass(frozen=True)
class Run:
    """The lake, the intent and the engine: the argument of every step of a run. `cluster` is None without a cluster."""

    lake: Lake
    intent: Intent
    open_engine: "Callable[[], Engine]"
    cluster: "Cluster | None" = None

    def reach_cluster(self) -> None:
        """Raise ClusterUnusable if nobody listens at the address of the cluster, if there is one."""
        if self.cluster is not None:
            self.cluster.reach()

    def open_cluster(self) -> None:
        """Open the cluster, if there is one. Call it before the lock: a busy cluster may need minutes to answer."""
        if self.cluster is not None:
            self.cluster.open()

    def place(self, engine: "Engine") -> "Engine | Cluster":
        """Where pieces of dates are staged: on the cluster if there is one, else on the engine."""
        return self.cluster or engine

    @property
    def keeping_going(self) -> "Run":
        """This run with keep_going: a failed date does not stop the others."""
        return replace(self, intent=replace(self.intent, keep_going=True))


def run_name(as_of: datetime) -> str:
    """as_of in the basic format of ISO 8601, because some file systems allow no colon in a name."""
    return as_of.strftime("%Y%m%dT%H%M%S.%fZ")
