"""The end of a run: its summary, and the same as a table on the terminal."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict

from pipeline.contract import NORMALIZED_STAGE, RAW_STAGE
from pipeline.errors import RetriesExhausted
from pipeline.lake import OPEN
from pipeline.observe.counts import Asked, Counts, DateSummary, PartitionCounts, UndatedSummary, asked, totals
from pipeline.observe.history import Options, Summary

FOLD_ABOVE_DATES = 31
# the columns of the table; `excluded` is one where there are any
FIGURES = {
    "extracted": "extracted",
    "kept": "kept",
    "excluded": "ex-\ncluded",
    "superseded_here": "super-\nseded\nhere",
    "superseded_elsewhere": "super-\nseded\nelse-\nwhere",
    "rows": "rows",
}
KINDS = ("built", "skipped or unchanged", "dropped", "failed")


def summarize(partitions: list[PartitionCounts], options: Options, **of_run: Any) -> Summary:
    """A run's summary, from its dates; `of_run` are those fields that are not made of dates and options."""
    changed = options.changes.api if options.changes else UNSET
    return Summary(
        **asdict(options),
        **of_run,
        dates={part.date: part.summary for part in partitions},
        api=asked([*(part.api for part in partitions), changed or {}]),
        currencies=sorted({currency for part in partitions for currency in part.summary.currencies or []}),
        failed={part.date: part.summary.error for part in partitions if part.summary.error},
        retries_exhausted=[part.date for part in partitions if part.kind == RetriesExhausted.__name__],
    )


def show(summary: Summary, path: str, notes: Sequence[str] = ()) -> None:
    """Print the summary's table to stdout; the notes follow it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    title = f"{summary.command or 'RunAll'} as of {summary.as_of}"
    grid = Grid(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    grid.add_column("date", no_wrap=True)
    dates, undated = list(summary.dates.values()), summary.undated
    shown = {name: head for name, head in FIGURES.items() if name != "excluded" or totals(dates).excluded}
    for head in shown.values():
        grid.add_column(head, justify="right", no_wrap=True)
    grid.add_column("discarded")
    grid.add_column("what was done")
    for label, group in _rows(summary.dates):
        grid.add_row(label, *_figures(group, shown), escape(_done(group)))
    if undated.built is not UNSET:
        grid.add_row("undated", *_figures([undated], shown), _undated(undated))
    if len(dates) > 1:
        grid.add_section()
        grid.add_row("all", *_figures([*dates, undated], shown), escape(_done(dates)))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    console.print(grid)
    for line in (*notes, *_notes(summary, path)):
        console.print(line, markup=False, highlight=False)


def _rows(dates: dict[str, DateSummary]) -> list[tuple[str, list[DateSummary]]]:
    """A row a date; in a long run, neighbouring dates with which the same was done share one."""
    if len(dates) <= FOLD_ABOVE_DATES:
        return [(date, [found]) for date, found in dates.items()]
    rows = []
    for _, group in groupby(dates.items(), key=lambda item: (item[0][:7], _done([item[1]]))):
        names, found = zip(*group, strict=True)
        label = names[0] if len(names) == 1 else f"{names[0]}..{names[-1][8:]} ({len(names)})"
        rows.append((label, list(found)))
    return rows


def _figures(counted: Sequence[Counts], shown: Iterable[str]) -> list[str]:
    total = totals(counted)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in total.reasons.items())
    return [*(f"{getattr(total, name):,}" for name in shown), reasons or "0"]


def _done(dates: list[DateSummary]) -> str:
    """What was done with the dates and why, in a few words."""
    if len(dates) > 1:
        different = {_done([date]) for date in dates}
        return different.pop() if len(different) == 1 else _mixed(dates)
    date = dates[0]
    if date.error:
        return "failed"
    if date.dropped:
        return f"dropped: {date.dropped}"
    said = _made(date)
    return f"{said}; {date.open}" if date.open and date.open != OPEN and date.open not in said else said


def _made(date: DateSummary) -> str:
    made = {stage: why for stage, why in date.built.items() if stage != RAW_STAGE.name}
    if made:
        why = date.built.get(RAW_STAGE.name) or next(iter(made.values()))
        return f"built ({why})" if NORMALIZED_STAGE.name in made else f"rewrote {', '.join(made)} ({why})"
    return f"asked again ({date.built[RAW_STAGE.name]}), unchanged" if date.built else "skipped (settled, complete)"


def _undated(found: UndatedSummary) -> str:
    """What became of the undated records, which are those of all dumps."""
    added = sum((found.added or {}).values())
    changes = {"added": added, "dated": found.dated or 0, "expired": found.expired or 0}
    if not found.built or added == found.extracted or not any(changes.values()):
        return "quarantined"
    return "quarantined: " + ", ".join(f"{n:,} {what}" for what, n in changes.items() if n)


def _mixed(dates: list[DateSummary]) -> str:
    kinds = Counter(_kind(date) for date in dates)
    return ", ".join(f"{kinds[kind]:,} {kind}" for kind in KINDS if kinds[kind])


def _kind(date: DateSummary) -> str:
    if date.error or date.dropped:
        return "failed" if date.error else "dropped"
    return "built" if date.outcome == "built" else "skipped or unchanged"


def _notes(summary: Summary, path: str) -> list[str]:
    notes = [_api(summary.api)] if summary.api.retries is not UNSET else []
    if len(summary.currencies) > 1:
        notes.append(f"currencies: {', '.join(summary.currencies)}; sum amounts of one currency only")
    notes += [found.text for found in summary.health]
    unknown = summary.late_arriving
    if unknown.unknown_user or unknown.unknown_sku:
        notes.append(
            f"late-arriving dimensions: {unknown.unknown_user:,} order(s) with an unknown user, "
            f"{unknown.unknown_sku:,} line(s) with an unknown sku; kept"
        )
    differing = summary.settled_dates_that_differ
    if differing:
        notes.append(
            f"{len(differing)} settled date(s) differ in the source and were skipped: {', '.join(differing[:10])}"
            f"{', …' if len(differing) > 10 else ''}; extract them again with --force"
        )
    return [*notes, f"summary: {path}"]


def _api(api: Asked) -> str:
    retries = api.retries or {}
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in retries.items())
    said = f"API: {api.pages:,} page(s) in {api.requests:,} request(s)"
    again = f", {api.restarts:,} window(s) read again" if api.restarts else ""
    return said + (f", {sum(retries.values()):,} retried ({kinds})" if retries else "") + again
