"""python -m pipeline drop: empties dates on purpose, and restores them."""

import argparse

from pipeline.commands.options import run_all
from pipeline.commands.rebuild import rebuild
from pipeline.contract import CURATED_STAGES, FUTURE_TOLERANCE, UNDATED_RECORDS
from pipeline.dates import parse_dates
from pipeline.errors import BadSetting
from pipeline.lake import Run, why_dropped, why_incomplete
from pipeline.sources.dump.undated import drop_undated_records
from pipeline.stages.drop import drop, restore
from pipeline.tasks.parameters import DATES_EXPECTED

SUMMARY = "empty dates on purpose, so that no run lands them again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--date",
        required=True,
        metavar="DATES",
        help=f"{DATES_EXPECTED}; or {UNDATED_RECORDS}: the records without a date",
    )
    why = parser.add_mutually_exclusive_group(required=True)
    why.add_argument("--reason", metavar="TEXT", help="why the dates are dropped; plan and the table of a run show it")
    why.add_argument("--restore", action="store_true", help="undo the drop; the next run extracts the dates again")
    parser.set_defaults(handler=drop_or_restore)


def drop_or_restore(options: argparse.Namespace, settings: list[str]) -> None:
    """Drop or restore the dates of the options, and print the lines about them. Raises BadSetting and RunFailed."""
    with run_all(options, settings) as task:
        for line in _done(options, task.this_run):
            print(line)


def _done(options: argparse.Namespace, run: Run) -> list[str]:
    if options.date == UNDATED_RECORDS:
        return drop_undated(options.reason, run)
    if options.restore:
        return restore_dates(options.date, run)
    return drop_dates(options.date, options.reason, run)


def drop_dates(text: str, reason: str, run: Run) -> list[str]:
    """Drop the dates and rebuild their later stages. Returns a line for each date that was dropped before.

    Raises BadSetting for invalid dates or a blank reason, and RunFailed if a date cannot be rebuilt.
    """
    dates, reason = _dates(text, run), _reason(reason)
    lines = [f"{date}: already dropped: {why}" for date in dates if (why := why_dropped(run.lake, date)) is not None]
    drop(run, dates, reason)
    if any(why_incomplete(run.lake, stage, date, run.intent) for stage in CURATED_STAGES for date in dates):
        rebuild("drop", dates, run)
    return lines


def drop_undated(reason: str | None, run: Run) -> list[str]:
    """Drop the undated records. Without a reason, for --restore, it raises BadSetting: they have no tombstone."""
    if reason is None:
        raise BadSetting("--date undated --restore: expected a date; to land undated records again, run with --force")
    records = drop_undated_records(run, _reason(reason))
    return [f"undated: {records:,} record(s) dropped"]


def _reason(text: str) -> str:
    """The reason in one line. Raises BadSetting if it is blank."""
    if not text.strip():
        raise BadSetting("--reason: it is blank; expected why these dates are dropped, as plan and the tables show it")
    return " ".join(text.split())


def restore_dates(text: str, run: Run) -> list[str]:
    """Remove the tombstones of the dates. Returns a line for each date. Raises BadSetting."""
    dates = _dates(text, run)
    restored = restore(run.lake, dates)
    return [
        f"{date}: " + ("restored, the next run extracts it again" if date in restored else "it is not dropped")
        for date in dates
    ]


def _dates(text: str, run: Run) -> list[str]:
    try:
        dates = list(parse_dates(text))
    except ValueError:
        raise BadSetting(f"--date {text}: expected {DATES_EXPECTED}") from None
    last = str((run.intent.as_of + FUTURE_TOLERANCE).date())
    if dates[-1] > last:
        raise BadSetting(f"--date {text}: {dates[-1]} is in the future; expected dates up to {last}")
    return dates
