"""When a partition is complete, and otherwise why not: the one rule for luigi, `plan` and the stages alike."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache

from pipeline.contract import NORMALIZED_STAGE, STAGES, UNDATED, Stage
from pipeline.lake.lake import Lake
from pipeline.lake.manifests import EMPTY_ID, RawManifest
from pipeline.lake.run import AS_OF_FORMAT, Intent

# present while curated partitions may hold orders that normalizing has moved; curating all that is stale removes it
STALE = "curated/_stale.json"
OPEN = "open"


@cache
def moment(stamp: str) -> datetime:
    """The instant of a stamp, naive UTC."""
    return datetime.strptime(stamp, AS_OF_FORMAT)


def may_be_stale(lake: Lake) -> bool:
    """Whether an order may be in two curated partitions, or in none, until what is stale is curated.

    A mark that waits for partitions which are not whole counts once one of them is.
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
    """The stamp from which on an answer for the date is final."""
    return (datetime.fromisoformat(date) + timedelta(days=1) + settle).strftime(AS_OF_FORMAT)


def failure(stage: Stage, date: str, intent: Intent) -> str:
    """The name of the marker that says that the stage of a date failed in this run."""
    return f"{intent.failures}/{date}.{stage.name}.json"


def missing(lake: Lake, stage: Stage, date: str, intent: Intent) -> str | None:
    """Why the stage of a date has to be built; None when it is complete for this run.

    With keep_going, what failed in this run counts as complete, and so does what is made from it.
    """
    if intent.keep_going and why_failed(lake, stage, date, intent) is not None:
        return None
    return _raw_missing(lake, date, intent) if stage.upstream is None else _made_missing(lake, stage, date, intent)


def why_failed(lake: Lake, stage: Stage | None, date: str, intent: Intent) -> str | None:
    """The error with which the stage of a date, or one that it is made from, failed in this run; None if none did."""
    if not lake.files.has(intent.failures):
        return None
    while stage is not None:
        note = lake.files.read(failure(stage, date, intent))
        if note is not None:
            return str(note.get("error"))
        stage = stage.upstream
    return None


def _raw_missing(lake: Lake, date: str, intent: Intent) -> str | None:
    manifest = lake.raw(date)
    if manifest is None or manifest.id is None:
        return "not landed" if manifest is None else "interrupted"
    if not lake.whole(manifest):
        return "raw file lost"
    if intent.reprocess or manifest.dropped or manifest.asked_at >= intent.stamp:
        return None
    if intent.force:
        return "--force"
    return "changed" if intent.reopen else is_open(manifest, date, intent.settle)


def is_open(manifest: RawManifest, date: str, settle: timedelta) -> str | None:
    """Why a landed date is not final, if its source could have changed since it answered; None when it is final."""
    final = settled_at(date, settle)
    if manifest.answers_as_of >= final:
        return None
    return f"{OPEN}: the dump is of {shown(manifest.answers_as_of)}" if manifest.asked_at >= final else OPEN


def shown(stamp: str) -> str:
    """A stamp to the minute, as people write it."""
    return f"{stamp[:10]} {stamp[11:16]}"


def _made_missing(lake: Lake, stage: Stage, date: str, intent: Intent) -> str | None:
    assert stage.upstream is not None
    reason = missing(lake, stage.upstream, date, intent)
    if reason is not None:
        return reason
    reason = stale(lake, stage, date)
    asked = "--force" if intent.force else "--reprocess" if intent.reprocess else None
    if reason is None and asked is not None:
        manifest = lake.made(stage, date)
        return asked if manifest is not None and manifest.as_of < intent.stamp else None
    return reason


def stale(lake: Lake, stage: Stage, date: str) -> str | None:
    """Why a stage of a date is to be made anew: it is not there or not whole, or its upstream has changed."""
    assert stage.upstream is not None
    manifest, upstream = lake.made(stage, date), lake.manifest(stage.upstream, date)
    if manifest is None:
        return "not built"
    if manifest.id is None:
        return "interrupted"
    if upstream is None or manifest.made_from != upstream.id:
        return f"{stage.upstream.name} changed"
    return None if lake.whole(manifest) else f"{stage.name} file lost"


def settled(lake: Lake, date: str, intent: Intent) -> bool:
    """Whether what is landed of a date is final."""
    manifest = lake.raw(date)
    return manifest is not None and manifest.id is not None and still_open(manifest, date, intent) is None


def still_open(manifest: RawManifest | None, date: str, intent: Intent) -> str | None:
    """Why what is landed of a date is not final; None when it is, or when nothing is landed."""
    if manifest is None or manifest.id is None or manifest.dropped:
        return None
    return is_open(manifest, date, intent.settle)


def done_later(lake: Lake, dates: Iterable[str], intent: Intent) -> tuple[str, str] | None:
    """The date and the stamp of what was last made that `intent` asks to redo, if that is later than its run.

    Such a date counts as redone already, so --force and --reprocess do nothing for it.
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
    """The newest date whose orders are final and normalized; None when there is none."""
    dates = (date for date in reversed(lake.partitions("normalized")) if date != UNDATED)
    ready = (date for date in dates if settled(lake, date, intent) and stale(lake, NORMALIZED_STAGE, date) is None)
    return next(ready, None)


def dropped(lake: Lake, date: str) -> str | None:
    """Why a date was dropped on purpose; None for a date that was not."""
    manifest = lake.raw(date)
    return manifest.dropped.reason if manifest is not None and manifest.dropped else None


def differs(lake: Lake, date: str, raw_id: str | None) -> bool:
    """Whether a landed date holds other records than those of this id; without an id, than none.

    A dropped date is meant to differ.
    """
    manifest = lake.raw(date)
    return manifest is not None and not manifest.dropped and manifest.id not in (None, raw_id or EMPTY_ID)
