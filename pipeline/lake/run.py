"""What a run is: the lake that it works on, what it is asked for, and how it opens an engine."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.lake.lake import Lake

if TYPE_CHECKING:
    from pipeline.engine import Engine

AS_OF_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Intent:
    """What a run is asked to do. `as_of` is naive UTC; a date is open until its end plus `settle`."""

    as_of: datetime
    force: bool = False
    reprocess: bool = False
    # extract the dates as if they were open: again, and rebuild only what is not the same
    reopen: bool = False
    allow_shrink: bool = False
    accept_fields: bool = False
    keep_going: bool = False
    settle: timedelta = timedelta(hours=6)
    max_vanished_share: float = 0.2

    @cached_property
    def stamp(self) -> str:
        """as_of as text that sorts like the instant."""
        return self.as_of.strftime(AS_OF_FORMAT)

    @cached_property
    def failures(self) -> str:
        """The folder, in the lake, of what failed in this run."""
        return f"runs/{run_name(self.as_of)}/failed"

    @cached_property
    def alerted(self) -> str:
        """The file, in the lake, that is there once a message about this run was sent."""
        return f"runs/{run_name(self.as_of)}/alerted"


@dataclass(frozen=True)
class Run:
    """What every step of a run is given."""

    lake: Lake
    intent: Intent
    open_engine: "Callable[[], Engine]"

    @property
    def keeping_going(self) -> "Run":
        """This run, for what notes a failed date and goes on with the others."""
        return replace(self, intent=replace(self.intent, keep_going=True))


def run_name(as_of: datetime) -> str:
    """as_of in ISO 8601's basic format, since a colon is no character for a file name everywhere."""
    return as_of.strftime("%Y%m%dT%H%M%S.%fZ")
