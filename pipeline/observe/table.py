"""The table of a run's dates, for the terminal, and the notes under the table."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import UNSET

from pipeline.contract import NORMALIZED_STAGE, RAW_STAGE, UNDATED_RECORDS
from pipeline.lake import OPEN
from pipeline.observe.counts import Asked, Counts, DateSummary, Totals, UndatedSummary, totals
from pipeline.observe.history import Summary
from pipeline.terminal import printable, whole

if TYPE_CHECKING:
    from rich.table import Table as Grid

FOLD_ABOVE_DATES = 31
FAILED_STYLE = "red"
Row = tuple[str, Sequence[Counts], str]


def rows(summary: Summary) -> list[Row]:
    """One row per date: its label, its counts and what was done. The undated records come last.

    In a long run, neighbouring dates share a row if the same was done for them.
    """
    undated = summary.undated
    of_undated: list[Row] = [(UNDATED_RECORDS, [undated], _undated(undated))] if undated.built is not UNSET else []
    if len(summary.dates) <= FOLD_ABOVE_DATES:
        return [*((date, [found], _done(found)) for date, found in summary.dates.items()), *of_undated]
    folded: list[Row] = []
    for (_, done), group in groupby(summary.dates.items(), key=lambda item: (item[0][:7], _done(item[1]))):
        names, found = zip(*group, strict=True)
        label = names[0] if len(names) == 1 else f"{names[0]}..{names[-1][8:]} ({len(names)})"
        folded.append((label, list(found), done))
    return [*folded, *of_undated]


def grid(shown: Sequence[Row], *, is_narrow: bool) -> "Grid":
    """The table. A narrow one has one column of superseded orders, and of discarded ones how many they are."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid
    from rich.text import Text

    found = [(label, totals(counted), done) for label, counted, done in shown]
    figures = _figures([total for _, total, _ in found], is_narrow=is_narrow)
    table = Grid(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="")
    table.add_column("date", no_wrap=True)
    for head in figures:
        table.add_column(head, justify="right", no_wrap=True)
    if not is_narrow:
        table.add_column("discarded")
    table.add_column("what was done")
    for position, (label, total, done) in enumerate(found):
        numbers = [f"{column[position]:,}" for column in figures.values()]
        why = [] if is_narrow else [", ".join(map(whole, total.named_reasons)) or "0"]
        table.add_row(label, *numbers, *why, Text.assemble((printable(done), FAILED_STYLE if done == "failed" else "")))
    return table


def _figures(found: Sequence[Totals], *, is_narrow: bool) -> dict[str, list[int]]:
    """The columns of numbers by their heads; `excluded` is one where there are any."""
    excluded = [total.excluded for total in found]
    here, elsewhere = [total.superseded_here for total in found], [total.superseded_elsewhere for total in found]
    superseded = {"superseded\nhere": here, "superseded\nelsewhere": elsewhere}
    if is_narrow:
        superseded = {"superseded": [sum(pair) for pair in zip(here, elsewhere, strict=True)]}
    return {
        "extracted": [total.extracted for total in found],
        "kept": [total.kept for total in found],
        **({"excluded": excluded} if any(excluded) else {}),
        **superseded,
        "rows": [total.rows for total in found],
        **({"discarded": [total.discarded for total in found]} if is_narrow else {}),
    }


def _done(date: DateSummary) -> str:
    """What was done with the date and why, in a few words."""
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
    """What the run did with the undated records."""
    added = sum((found.added or {}).values())
    changes = {"added": added, "dated": found.dated or 0, "expired": found.expired or 0}
    if not found.built or added == found.extracted or not any(changes.values()):
        return "quarantined"
    return "quarantined: " + ", ".join(f"{n:,} {what}" for what, n in changes.items() if n)


def notes(summary: Summary) -> list[str]:
    """The notes under the table. They are no problems."""
    found = [_api(summary.api)] if summary.api.retries is not UNSET else []
    unknown = summary.late_arriving
    if unknown.unknown_user or unknown.unknown_sku:
        found.append(
            f"late-arriving dimensions: {unknown.unknown_user:,} order(s) with an unknown user, "
            f"{unknown.unknown_sku:,} line(s) with an unknown sku; kept"
        )
    return found


def _api(api: Asked) -> str:
    retries = api.retries or {}
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in retries.items())
    said = f"API: {api.pages:,} page(s) in {api.requests:,} request(s)"
    again = f", {api.restarts:,} window(s) read again" if api.restarts else ""
    return said + (f", {sum(retries.values()):,} retried ({kinds})" if retries else "") + again
