"""Decides which stages of a date a run has to build, and why. Luigi's targets, `plan` and the stages all use it.

A stage is whole if its manifest has an id and its files exist with the sizes in the manifest. A stage is up to date if
it is whole and was made from the present content of its upstream; otherwise it is stale. A stage is complete if its
upstream is complete, it is up to date, and the run does not ask for it again. A landed date is settled if the answer
of its source speaks for a moment at least settle_hours after the end of the date; otherwise it is open.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache

from pipeline.contract import NORMALIZED_STAGE, STAGES, UNDATED, Stage
from pipeline.lake.lake import Lake
from pipeline.lake.manifests import EMPTY_ID, RawManifest
from pipeline.lake.run import AS_OF_FORMAT, Intent

# exists from the moment an order may have moved to another date until all stale curated partitions are written
STALE = "curated/_stale.json"
OPEN = "open"


@cache
def moment(stamp: str) -> datetime:
    """The instant of a stamp, as naive UTC."""
    return datetime.strptime(stamp, AS_OF_FORMAT)


def may_be_stale(lake: Lake) -> bool:
    """Whether curated partitions have to be made again, because orders may have moved to another date.

    True while the stale mark exists. A mark with `waits_for` names dates whose normalized partitions are not whole.
    With such a mark it is True only after one of these partitions is whole.
    """
    mark = lake.files.read(STALE)
    if mark is None:
        return False
    waits_for = mark.get("waits_for")
    if not isinstance(waits_for, list):
        return True
    return any(lake.is_whole(NORMALIZED_STAGE, str(date)) for date in waits_for)


@cache
def settled_at(date: str, settle: timedelta) -> str:
    """The stamp from which an answer settles the date: the end of the date plus `settle`."""
    return (datetime.fromisoformat(date) + timedelta(days=1) + settle).strftime(AS_OF_FORMAT)


def failure_file(stage: Stage, date: str, intent: Intent) -> str:
    """The name of the file that records the failure of a stage of a date in this run."""
    return f"{intent.failures}/{date}.{stage.name}.json"


def why_incomplete(lake: Lake, stage: Stage, date: str, intent: Intent) -> str | None:
    """Why this run has to build the stage of a date; None if the stage is complete.

    With keep_going, a stage that failed in this run counts as complete, and so do the stages after it.
    """
    if intent.keep_going and why_failed(lake, stage, date, intent) is not None:
        return None
    if stage.upstream is None:
        return _why_raw_incomplete(lake, date, intent)
    return why_incomplete(lake, stage.upstream, date, intent) or _why_made_incomplete(lake, stage, date, intent)


def why_failed(lake: Lake, stage: Stage | None, date: str, intent: Intent) -> str | None:
    """The error of the stage of a date, or of one of its upstream stages, in this run; None if none failed."""
    if not lake.files.has(intent.failures):
        return None
    while stage is not None:
        note = lake.files.read(failure_file(stage, date, intent))
        if note is not None:
            return str(note.get("error"))
        stage = stage.upstream
    return None


def _why_raw_incomplete(lake: Lake, date: str, intent: Intent) -> str | None:
    """The first reason to land the date; None if there is none. A date asked for in this run, or later, is done."""
    manifest = lake.raw(date)
    if manifest is None or manifest.id is None:
        return "not landed" if manifest is None else "interrupted"
    if not lake.whole(manifest):
        return "raw file lost"
    if intent.reprocess or manifest.dropped or manifest.asked_at >= intent.stamp:
        return None
    if intent.force:
        return "--force"
    return "changed" if intent.reopen else why_open(manifest, date, intent.settle)


def why_open(manifest: RawManifest, date: str, settle: timedelta) -> str | None:
    """Why a landed date is not settled: its orders may still change in the source. None if the date is settled."""
    settles_at = settled_at(date, settle)
    if manifest.answers_as_of >= settles_at:
        return None
    return f"{OPEN}: the dump is of {shown(manifest.answers_as_of)}" if manifest.asked_at >= settles_at else OPEN


def shown(stamp: str) -> str:
    """A stamp for people, to the minute: 2025-01-15 06:30."""
    return f"{stamp[:10]} {stamp[11:16]}"


def _why_made_incomplete(lake: Lake, stage: Stage, date: str, intent: Intent) -> str | None:
    """The reason to build a stage whose upstream is complete; None if there is none.

    With --force or --reprocess, a stage that was built in this run, or later, is done.
    """
    reason = why_outdated(lake, stage, date)
    asked = "--force" if intent.force else "--reprocess" if intent.reprocess else None
    if reason is None and asked is not None:
        manifest = lake.made(stage, date)
        return asked if manifest is not None and manifest.as_of < intent.stamp else None
    return reason


def why_outdated(lake: Lake, stage: Stage, date: str) -> str | None:
    """Why a stage of a date is absent, not whole, or out of date with its upstream; None if it is up to date."""
    if stage.upstream is None:
        raise ValueError(f"{stage.name} is made from no other stage")
    manifest, upstream = lake.made(stage, date), lake.manifest(stage.upstream, date)
    if manifest is None:
        return "not built"
    if manifest.id is None:
        return "interrupted"
    if upstream is None or manifest.made_from != upstream.id:
        return f"{stage.upstream.name} changed"
    return None if lake.whole(manifest) else f"{stage.name} file lost"


def settled(lake: Lake, date: str, intent: Intent) -> bool:
    """Whether the date is landed and settled. A dropped date counts as settled."""
    manifest = lake.raw(date)
    return manifest is not None and manifest.id is not None and why_still_open(manifest, date, intent) is None


def why_still_open(manifest: RawManifest | None, date: str, intent: Intent) -> str | None:
    """Why a landed date is not settled; None if the date is settled, dropped or not landed."""
    if manifest is None or manifest.id is None or manifest.dropped:
        return None
    return why_open(manifest, date, intent.settle)


def done_later(lake: Lake, dates: Iterable[str], intent: Intent) -> tuple[str, str] | None:
    """The date and stamp of the newest extraction or build that is later than this run's as_of; None if there is none.

    --force and --reprocess do nothing for such a date, because it counts as rebuilt already.
    """
    found = []
    for date in dates:
        raw = lake.raw(date)
        asked = [raw.asked_at] if intent.force and raw is not None and raw.id is not None and not raw.dropped else []
        made = [manifest.as_of for stage in STAGES[1:] if (manifest := lake.made(stage, date)) is not None]
        found += [(stamp, date) for stamp in [*asked, *made] if stamp > intent.stamp]
    stamp, date = max(found, default=(None, ""))
    return (date, stamp) if stamp is not None else None


def newest_settled(lake: Lake, intent: Intent) -> str | None:
    """The newest date that is settled and whose normalized partition is up to date; None if there is none."""
    dates = (date for date in reversed(lake.partitions("normalized")) if date != UNDATED)
    for date in dates:
        if settled(lake, date, intent) and why_outdated(lake, NORMALIZED_STAGE, date) is None:
            return date
    return None


def why_dropped(lake: Lake, date: str) -> str | None:
    """Why a date was dropped on purpose; None if it was not dropped."""
    manifest = lake.raw(date)
    return manifest.dropped.reason if manifest is not None and manifest.dropped else None


def differs(lake: Lake, date: str, raw_id: str | None) -> bool:
    """Whether a landed date holds other records than those of `raw_id`; None stands for no records.

    A dropped date never differs, because it is empty on purpose.
    """
    manifest = lake.raw(date)
    return manifest is not None and not manifest.dropped and manifest.id not in (None, raw_id or EMPTY_ID)
