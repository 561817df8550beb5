"""Dates that are dropped on purpose: an empty raw partition with a tombstone, for which no source is asked again."""

from pathlib import Path

from pipeline.contract import RAW_STAGE
from pipeline.dates import fold_dates
from pipeline.events import emit
from pipeline.lake.files import Lake, Publication, partition
from pipeline.lake.freshness import dropped
from pipeline.lake.outcome import Outcome
from pipeline.lake.run import Run
from pipeline.sources.dump.inventory import Part
from pipeline.sources.raw import publication, raw_name


def drop(run: Run, dates: list[str], reason: str) -> list[str]:
    """Replace what is landed of each date, if anything is, by nothing and a tombstone; the dates that had none yet.

    The tombstone is there, durably, before any record goes: after a kill the next run that lands the date finishes it.
    """
    with run.lake.locked():
        todo = [date for date in dates if dropped(run.lake, date) is None]
        for date in todo:
            run.lake.write(_manifest(date), {"id": None, "dropped": {"reason": reason, "at": run.intent.stamp}})
        run.lake.sync_folders([_manifest(date) for date in todo])
    keep_dropped(run, dates)
    if todo:
        emit("dropped", dates=fold_dates(todo), reason=reason)
    return todo


def keep_dropped(run: Run, dates: list[str]) -> None:
    """Publish the empty raw partition of each dropped date that has lost it, or has none yet.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    if not any(_is_broken(run.lake, date) for date in dates):
        return
    outcome = Outcome(RAW_STAGE)
    with run.lake.locked():
        broken = [date for date in dates if _is_broken(run.lake, date)]
        outcome.fail_all(run.lake.publish([_empty(run, date) for date in broken]))
        outcome.close(run.lake, run.intent)


def restore(lake: Lake, dates: list[str]) -> list[str]:
    """Take the tombstones away, so that the next run extracts the dates again; the dates that had one."""
    with lake.locked():
        todo = [date for date in dates if dropped(lake, date) is not None]
        for date in todo:
            lake.remove(_manifest(date))
        lake.sync_folders([_manifest(date) for date in todo])
    if todo:
        emit("restored", dates=fold_dates(todo))
    return todo


def _is_broken(lake: Lake, date: str) -> bool:
    return dropped(lake, date) is not None and not lake.whole(lake.manifest(RAW_STAGE, date))


def _empty(run: Run, date: str) -> Publication:
    Path(run.lake.stage(raw_name(date))).touch()
    tombstone = (run.lake.manifest(RAW_STAGE, date) or {})["dropped"]
    extra = {"dropped": tombstone, "made_from": None, "fields": None, "api": None, "plain_by": None}
    extra["answers_as_of"] = run.intent.stamp
    return publication(run, date, Part().id, 0, because="dropped", extra=extra)


def _manifest(date: str) -> str:
    return partition("raw", date, RAW_STAGE.manifest)
