"""The end of a run: a table on the terminal and the same as runs/<as_of>.json."""

import sys
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from typing import Any

from pipeline.errors import RetriesExhausted
from pipeline.lake import OPEN
from pipeline.observe.checks import Breaches
from pipeline.observe.counts import Counts, PartitionCounts, asked, discards

FOLD_ABOVE_DATES = 31
KINDS = ("built", "skipped or unchanged", "dropped", "failed")


def summarize(
    partitions: list[PartitionCounts],
    *,
    undated: dict[str, Any],
    differing: list[str],
    unknown: dict[str, int],
    checks: dict[str, Breaches],
    options: dict[str, Any],
) -> dict[str, Any]:
    """The run as JSON: options, per-date counts, what was built and why, totals, checks and failures."""
    dates = {
        part.date: part.counts
        | {"built": part.built, "skipped": part.outcome == "skipped", "error": part.error}
        | ({"dropped": part.dropped} if part.dropped else {})
        | ({"open": part.open} if part.open else {})
        for part in partitions
    }
    changes = (options.get("changes") or {}).get("api", {})
    currencies = sorted({currency for part in partitions for currency in part.counts.get("currencies", [])})
    return {
        **options,
        "dates": dates,
        "undated": undated,
        "api": asked([*(part.api for part in partitions), changes]),
        "currencies": currencies,
        "settled_dates_that_differ": differing,
        "late_arriving": unknown,
        "checks": {name: asdict(found) for name, found in checks.items()},
        "failed": {part.date: part.error for part in partitions if part.error},
        "retries_exhausted": [part.date for part in partitions if part.kind == RetriesExhausted.__name__],
    }


def show(partitions: list[PartitionCounts], summary: dict[str, Any], path: str) -> None:
    """Print the summary's table to stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    title = f"{summary.get('command', 'RunAll')} as of {summary['as_of']}"
    grid = Grid(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    grid.add_column("date", no_wrap=True)
    for name in ("extracted", "kept", "super-\nseded\nhere", "super-\nseded\nelse-\nwhere", "rows"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("discarded")
    grid.add_column("what was done")
    for label, parts in _rows(partitions):
        grid.add_row(label, *_figures(parts), escape(_done(parts)))
    if summary["undated"]:
        extracted, reasons = summary["undated"]["extracted"], summary["undated"]["discarded"]
        grid.add_row("undated", f"{extracted:,}", "0", "0", "0", "0", _reasons(reasons), _undated(summary["undated"]))
    if len(partitions) > 1:
        grid.add_section()
        undated = summary["undated"]
        grid.add_row("all", *_figures(partitions, undated), escape(_done(partitions)))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    console.print(grid)
    for line in _notes(summary, path):
        console.print(line, markup=False, highlight=False)


def _rows(partitions: list[PartitionCounts]) -> list[tuple[str, list[PartitionCounts]]]:
    """A row a date; in a long run, neighbouring dates with which the same was done share one."""
    if len(partitions) <= FOLD_ABOVE_DATES:
        return [(part.date, [part]) for part in partitions]
    rows = []
    for _, group in groupby(partitions, key=lambda part: (part.date[:7], _done([part]))):
        parts = list(group)
        label = parts[0].date if len(parts) == 1 else f"{parts[0].date}..{parts[-1].date[8:]} ({len(parts)})"
        rows.append((label, parts))
    return rows


def _figures(parts: list[PartitionCounts], undated: Counts | None = None) -> list[str]:
    names = ("extracted", "kept", "superseded_here", "superseded_elsewhere", "rows")
    extracted, *others = (sum(part.count(name) for part in parts) for name in names)
    reasons = discards([*(part.counts for part in parts), undated or {}])
    extracted += (undated or {}).get("extracted", 0)
    return [*(f"{figure:,}" for figure in (extracted, *others)), _reasons(reasons)]


def _reasons(reasons: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items())) or "0"


def _done(parts: list[PartitionCounts]) -> str:
    """What was done with the dates and why, in a few words."""
    if len(parts) > 1:
        different = {_done([part]) for part in parts}
        return different.pop() if len(different) == 1 else _mixed(parts)
    part = parts[0]
    if part.error:
        return "failed"
    if part.dropped:
        return f"dropped: {part.dropped}"
    why_open = part.open if part.open != OPEN else None
    said = _made(part)
    return f"{said}; {why_open}" if why_open and why_open not in said else said


def _made(part: PartitionCounts) -> str:
    made = {stage: why for stage, why in part.built.items() if stage != "raw"}
    if made:
        why = part.built.get("raw") or next(iter(made.values()))
        return f"built ({why})" if "normalized" in made else f"rewrote {', '.join(made)} ({why})"
    return f"asked again ({part.built['raw']}), unchanged" if part.built else "skipped (settled, complete)"


def _undated(counts: dict[str, Any]) -> str:
    """What became of the undated records, which are those of all dumps."""
    changes = {"added": sum(counts.get("added", {}).values())}
    changes |= {what: counts.get(what, 0) for what in ("dated", "expired")}
    if not counts["built"] or changes["added"] == counts["extracted"] or not any(changes.values()):
        return "quarantined"
    return "quarantined: " + ", ".join(f"{n:,} {what}" for what, n in changes.items() if n)


def _mixed(parts: list[PartitionCounts]) -> str:
    dates = Counter(_kind(part) for part in parts)
    return ", ".join(f"{dates[kind]:,} {kind}" for kind in KINDS if dates[kind])


def _kind(part: PartitionCounts) -> str:
    if part.error or part.dropped:
        return "failed" if part.error else "dropped"
    return "built" if part.outcome == "built" else "skipped or unchanged"


def _notes(summary: dict[str, Any], path: str) -> list[str]:
    notes = [_api(summary["api"])] if summary["api"] else []
    if len(summary["currencies"]) > 1:
        notes.append(f"currencies: {', '.join(summary['currencies'])}; sum amounts of one currency only")
    unknown = summary["late_arriving"]
    if any(unknown.values()):
        notes.append(
            f"late-arriving dimensions: {unknown['unknown_user']:,} order(s) with an unknown user, "
            f"{unknown['unknown_sku']:,} line(s) with an unknown sku; kept"
        )
    differing = summary["settled_dates_that_differ"]
    if differing:
        notes.append(
            f"{len(differing)} settled date(s) differ in the source and were skipped: {', '.join(differing[:10])}"
            f"{', …' if len(differing) > 10 else ''}; extract them again with --force"
        )
    return [*notes, f"summary: {path}"]


def _api(api: dict[str, Any]) -> str:
    retries = ", ".join(f"{count:,} {kind}" for kind, count in api["retries"].items())
    said = f"API: {api['pages']:,} page(s) in {api['requests']:,} request(s)"
    again = f", {api['restarts']:,} window(s) read again" if api["restarts"] else ""
    return said + (f", {sum(api['retries'].values()):,} retried ({retries})" if retries else "") + again
