"""The instant since which --changed-since looks for changes."""

from datetime import datetime, timedelta

from pipeline.contract import UNDATED
from pipeline.errors import BadSetting
from pipeline.lake import Lake, Run, moment

STATE = "raw/_changed_since.json"


def start_of(run: Run, asked: datetime | str, overlap_minutes: float) -> datetime | None:
    """The instant, naive UTC, since which updates are asked for. It is `asked`, if that is a time.

    For `auto` it is `overlap_minutes` before the earliest of these: the as_of of the last run that called move_on, and
    answers_as_of of each partition that was asked for after that run. Without such a run all partitions count. Dropped
    dates do not count. None without any of these. Raises BadSetting if the last such run was later than this one.
    """
    if isinstance(asked, datetime):
        return asked
    lake, known = run.lake, _last_run(run.lake)
    if known is not None and known > run.intent.stamp:
        raise BadSetting(
            f"--changed-since auto: the last such run was as of {known}, later than this run as of {run.intent.stamp}; "
            "expected a run that is later than the last one; give --changed-since a time"
        )
    manifests = [manifest for date in lake.partitions("raw") if date != UNDATED and (manifest := lake.raw(date))]
    landed = [manifest for manifest in manifests if manifest.id is not None and not manifest.dropped]
    later = [manifest.answers_as_of for manifest in landed if known is None or manifest.asked_at > known]
    start = min(later if known is None else [known, *later], default=None)
    return moment(start) - timedelta(minutes=overlap_minutes) if start else None


def _last_run(lake: Lake) -> str | None:
    """The stamp of the last run that called move_on. None if there was none."""
    as_of = (lake.files.read(STATE) or {}).get("as_of")
    try:
        moment(as_of)
    except (TypeError, ValueError):
        return None
    return str(as_of)


def move_on(run: Run) -> None:
    """Save the stamp of this run, from which the next `auto` starts. Every update before it must be published."""
    with run.lake.work.locked():
        run.lake.files.write(STATE, {"as_of": run.intent.stamp})
        run.lake.files.sync_folders([STATE])
