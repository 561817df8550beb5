"""When a partition is complete, and otherwise why not: the one rule for luigi, `plan` and the stages alike."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property

from pipeline.contract import NORMALIZED_STAGE, RAW_STAGE, UNDATED, Stage
from pipeline.storage import Lake

# present while curated partitions may hold orders that normalizing has moved; curating all that is stale removes it
STALE = "curated/_stale.json"
EMPTY_ID = hashlib.sha256().hexdigest()
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


def run_name(as_of: datetime) -> str:
    """as_of in ISO 8601's basic format, since a colon is no character for a file name everywhere."""
    return as_of.strftime("%Y%m%dT%H%M%S.%fZ")


@cache
def settled_at(date: str, settle: timedelta) -> str:
    """The stamp from which on an extraction of the date is final."""
    return (datetime.fromisoformat(date) + timedelta(days=1) + settle).strftime(AS_OF_FORMAT)


def failure(stage: Stage, date: str, intent: Intent) -> str:
    """The name of the marker that says that the stage of a date failed in this run."""
    return f"{intent.failures}/{date}.{stage.name}.json"


def missing(lake: Lake, stage: Stage, date: str, intent: Intent) -> str | None:
    """Why the stage of a date has to be built; None when it is complete for this run.

    With keep_going, what failed in this run counts as complete, and so does what is made from it.
    """
    if intent.keep_going and _failed(lake, stage, date, intent):
        return None
    return _raw_missing(lake, date, intent) if stage.upstream is None else _made_missing(lake, stage, date, intent)


def _failed(lake: Lake, stage: Stage | None, date: str, intent: Intent) -> bool:
    if not lake.has(intent.failures):
        return False
    while stage is not None:
        if lake.read(failure(stage, date, intent)) is not None:
            return True
        stage = stage.upstream
    return False


def _raw_missing(lake: Lake, date: str, intent: Intent) -> str | None:
    manifest = lake.manifest(RAW_STAGE, date)
    if manifest is None or manifest.get("id") is None:
        return "not landed" if manifest is None else "interrupted"
    if not lake.whole(manifest):
        return "raw file lost"
    if intent.reprocess or "dropped" in manifest:
        return None
    if intent.force and manifest["extracted_at"] < intent.stamp:
        return "--force"
    if intent.reopen and manifest["extracted_at"] < intent.stamp:
        return "changed"
    if manifest["extracted_at"] < min(intent.stamp, settled_at(date, intent.settle)):
        return "open"
    return None


def _made_missing(lake: Lake, stage: Stage, date: str, intent: Intent) -> str | None:
    assert stage.upstream is not None
    reason = missing(lake, stage.upstream, date, intent)
    if reason is not None:
        return reason
    manifest = lake.manifest(stage, date)
    reason = stale(lake, stage, date)
    asked = "--force" if intent.force else "--reprocess" if intent.reprocess else None
    if reason is None and manifest is not None and manifest["as_of"] < intent.stamp:
        return asked
    return reason


def stale(lake: Lake, stage: Stage, date: str) -> str | None:
    """Why what was made from the upstream of a date is not what its upstream is now; None when it is."""
    assert stage.upstream is not None
    manifest, upstream = lake.manifest(stage, date), lake.manifest(stage.upstream, date)
    if manifest is None:
        return "not built"
    if manifest.get("id") is None:
        return "interrupted"
    if upstream is None or manifest["made_from"] != upstream["id"]:
        return f"{stage.upstream.name} changed"
    return None if lake.whole(manifest) else f"{stage.name} file lost"


def settled(lake: Lake, date: str, intent: Intent) -> bool:
    """Whether what is landed of a date was extracted after it was final."""
    manifest = lake.manifest(RAW_STAGE, date)
    return manifest is not None and manifest.get("extracted_at", "") >= settled_at(date, intent.settle)


def newest_settled(lake: Lake, intent: Intent) -> str | None:
    """The newest date whose orders are final and normalized; None when there is none."""
    dates = (date for date in reversed(lake.partitions("normalized")) if date != UNDATED)
    ready = (date for date in dates if settled(lake, date, intent) and stale(lake, NORMALIZED_STAGE, date) is None)
    return next(ready, None)


def dropped(lake: Lake, date: str) -> str | None:
    """Why a date was dropped on purpose; None for a date that was not."""
    tombstone = (lake.manifest(RAW_STAGE, date) or {}).get("dropped")
    return tombstone["reason"] if tombstone else None


def differs(lake: Lake, date: str, raw_id: str | None) -> bool:
    """Whether a landed date holds other records than those of this id; without an id, than none.

    A dropped date is meant to differ.
    """
    manifest = lake.manifest(RAW_STAGE, date)
    return manifest is not None and "dropped" not in manifest and manifest.get("id") not in (None, raw_id or EMPTY_ID)
