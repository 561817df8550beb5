"""What a run and plan say of the source beside their figures: that it has nothing, or is not the only one."""

from collections import defaultdict

from pipeline.lake import Run
from pipeline.sources.base import Source

SHOWN_SOURCES = 3


def of_source(run: Run, source: Source | None, dates: list[str], *, is_empty: bool) -> list[str]:
    """A line each, none where all is usual. `dates` are those of the run; with `is_empty` it has no record of them."""
    if source is None:
        return []
    extent = source.extent(run.lake) or "nothing of it"
    nothing = [f"nothing in this range: the source has {extent}"] if is_empty else []
    return [*nothing, *_of_others(run, source, dates)]


def _of_others(run: Run, source: Source, dates: list[str]) -> list[str]:
    """That dates are landed from another source. With settle_hours = 0, each dump may hold days of its own."""
    others, origin = defaultdict(list), source.origin
    for date in dates if run.intent.settle else ():
        landed = run.lake.raw(date)
        if landed is not None and landed.made_from not in (None, origin) and not landed.dropped:
            others[str(landed.made_from)].append(date)
    if not others:
        return []
    named = [f"{len(found):,} date(s) of {other}" for other, found in list(others.items())[:SHOWN_SOURCES]]
    more = f" and of {len(others) - SHOWN_SOURCES:,} more" if len(others) > SHOWN_SOURCES else ""
    return [
        f"the lake {run.lake.root} holds {', '.join(named)}{more}, another source than {origin}; if the two do "
        "not belong together, give each a lake of its own: --storage-root and --warehouse-path"
    ]
