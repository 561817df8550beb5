"""python -m pipeline quarantine: lists, prints and exports discarded records."""

import argparse
import sys
from itertools import islice

from pipeline.commands.options import run_all
from pipeline.dates import parse_dates
from pipeline.errors import BadSetting
from pipeline.lake import Lake
from pipeline.observe.quarantine import OTHERS, Choice, discards, export, records
from pipeline.tasks.base import open_lake
from pipeline.tasks.outputs import refuse_overwriting
from pipeline.terminal import printable

SUMMARY = "list, show and export discarded records"
DATES = f"a date such as 2025-01-15, a range 2025-01-15..2025-01-31, {', '.join(OTHERS)}, or several with commas"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--date", metavar="DATES", help=f"only records of these dates: {DATES}")
    command.add_argument(
        "--reason", metavar="REASONS", help="only records discarded for this reason, or several with commas"
    )
    command.add_argument(
        "--show",
        nargs="?",
        type=_number,
        const=sys.maxsize,
        metavar="N",
        help="print the records, one per line; with N, only the first N",
    )
    command.add_argument(
        "--export", metavar="FILE", help="write the records to this file, which ends in .ndjson or .parquet"
    )
    command.set_defaults(handler=quarantine)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: expected a number of records")
    return int(text)


def quarantine(options: argparse.Namespace, settings: list[str]) -> None:
    """List, print or export the chosen records. Raises BadSetting and CorruptPartition."""
    with run_all(options, settings):
        _answer(options)


def _answer(options: argparse.Namespace) -> None:
    lake = open_lake()
    choice = Choice(_dates(options.date), _reasons(options.reason))
    if options.export is not None:
        refuse_overwriting("--export", options.export)
    found = discards(lake, choice)
    if not found:
        kind = " of that kind" if choice != Choice() else ""
        print(f"nothing in quarantine{kind} ({lake.files.fetch('quarantine')})")
    elif options.show is not None:
        _show(lake, choice, found, options.show)
    elif options.export is None:
        _list(found)
    if options.export is not None:
        print(f"{export(records(lake, choice), options.export):,} record(s) written to {options.export}")


def _dates(text: str | None) -> set[str] | None:
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    dates = [word for word in words if word not in OTHERS]
    try:
        return {word for word in words if word in OTHERS}.union(parse_dates(",".join(dates)) if dates else ())
    except ValueError:
        raise BadSetting(f"--date {text}: expected {DATES}") from None


def _reasons(text: str | None) -> set[str] | None:
    return None if text is None else {word.strip() for word in text.split(",")}


def _list(found: dict[tuple[str, str], int]) -> None:
    rows = [("date", "reason", "records"), *((*key, f"{count:,}") for key, count in found.items())]
    dates, reasons, counts = (max(map(len, column)) for column in zip(*rows, strict=True))
    for date, reason, count in rows:
        print(printable(f"{date:<{dates}}  {reason:<{reasons}}  {count:>{counts}}"))
    print(f"{sum(found.values()):,} discarded record(s); --show prints them, --export FILE writes them to a file")


def _show(lake: Lake, choice: Choice, found: dict[tuple[str, str], int], limit: int) -> None:
    """Print the records verbatim, with the control characters of terminals escaped."""
    dates, reasons = (max(map(len, column)) for column in zip(*found, strict=True))
    total = sum(found.values())
    for row in islice(records(lake, choice), limit):
        print(f"{row.date:<{dates}}  {printable(row.reason):<{reasons}}  {printable(row.record)}")
    if limit < total:
        print(f"{total - limit:,} more", file=sys.stderr)
