"""Notes about the source for run and plan: it has no orders in the range, or the lake has dates of another source."""

from collections import defaultdict

from pipeline.lake import Run
from pipeline.sources.base import Source

SHOWN_SOURCES = 3


def of_source(run: Run, source: Source | None, dates: list[str], *, is_empty: bool) -> list[str]:
    """The notes, one line each. `dates` are the dates of the run; `is_empty` says that none of them has a record."""
    if source is None:
        return []
    extent = source.extent(run.lake) or "no orders in it"
    nothing = [f"nothing in this range: the source has {extent}"] if is_empty else []
    return [*nothing, *_of_others(run, source, dates)]


def _of_others(run: Run, source: Source, dates: list[str]) -> list[str]:
    """A note if some of the dates are landed from another source. None with settle_hours = 0: daily dumps use that."""
    others, origin = defaultdict(list), source.origin
    for date in dates if run.intent.settle else ():
        landed = run.lake.raw(date)
        if landed is not None and landed.made_from not in (None, origin) and not landed.dropped:
            others[str(landed.made_from)].append(date)
    if not others:
        return []
    named = [f"{len(found):,} date(s) from {other}" for other, found in list(others.items())[:SHOWN_SOURCES]]
    more = f" and from {len(others) - SHOWN_SOURCES:,} more" if len(others) > SHOWN_SOURCES else ""
    return [
        f"the lake {run.lake.root} holds {', '.join(named)}{more}, but this run reads {origin}; if these are different "
        "shops, give each shop its own lake with --storage-root and --warehouse-path"
    ]
