"""Drops dates on purpose. A dropped date is an empty raw partition with a tombstone; no source is asked for it."""

from pipeline.contract import RAW_STAGE, raw_name
from pipeline.dates import fold_dates
from pipeline.events import emit
from pipeline.lake import EMPTY_ID, Lake, Outcome, Publication, RawManifest, Run, Tombstone, why_dropped
from pipeline.sources.raw import publication


def drop(run: Run, dates: list[str], reason: str) -> list[str]:
    """Replace the raw partition of each date by an empty one with a tombstone. Returns the dates newly dropped.

    The tombstone is written and synced first. If a kill follows, the next run that lands the date finishes the drop.
    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    with run.lake.work.locked():
        todo = [date for date in dates if why_dropped(run.lake, date) is None]
        for date in todo:
            tombstone = Tombstone(reason, run.intent.stamp)
            run.lake.write_manifest(RAW_STAGE.manifest_at(date), RawManifest(id=None, dropped=tombstone))
        run.lake.files.sync_folders([RAW_STAGE.manifest_at(date) for date in todo])
    keep_dropped(run, dates)
    if todo:
        emit("dropped", dates=fold_dates(todo), reason=reason)
    return todo


def keep_dropped(run: Run, dates: list[str]) -> None:
    """Publish the empty raw partition of each dropped date that lacks one.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    if not any(_lacks_partition(run.lake, date) for date in dates):
        return
    outcome = Outcome(RAW_STAGE)
    with run.lake.work.locked():
        todo = [date for date in dates if _lacks_partition(run.lake, date)]
        outcome.fail_all(run.lake.publish([_empty(run, date) for date in todo]))
        outcome.close(run.lake, run.intent)


def restore(lake: Lake, dates: list[str]) -> list[str]:
    """Remove the tombstones, so that the next run extracts the dates again. Returns the dates that had one."""
    with lake.work.locked():
        todo = [date for date in dates if why_dropped(lake, date) is not None]
        for date in todo:
            lake.files.remove(RAW_STAGE.manifest_at(date))
        lake.files.sync_folders([RAW_STAGE.manifest_at(date) for date in todo])
    if todo:
        emit("restored", dates=fold_dates(todo))
    return todo


def _lacks_partition(lake: Lake, date: str) -> bool:
    """Whether the date is dropped, but its empty raw partition is not whole."""
    return why_dropped(lake, date) is not None and not lake.is_whole(RAW_STAGE, date)


def _empty(run: Run, date: str) -> Publication[RawManifest]:
    run.lake.files.stage_bytes(raw_name(date), b"")
    tombstone = run.lake.landed(date).dropped
    answer = RawManifest(id=EMPTY_ID, answers_as_of=run.intent.stamp, dropped=tombstone)
    return publication(run, date, answer, "dropped")
