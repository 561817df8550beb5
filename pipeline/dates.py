"""Dates as ISO text: one, several or ranges of them, and the choice of a run's dates."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

DAY = timedelta(days=1)
TASK_A_DATE_UP_TO = 31
# the contract's bounds of created_at
FIRST_DATE, LAST_DATE = "1970-01-01", "2199-12-31"


def parse_dates(text: str) -> tuple[str, ...]:
    """Sorted dates of `2025-01-15`, `2025-01-15..2025-01-31`, or several with commas, all in 1970 to 2199.

    Raises ValueError.
    """
    found: set[str] = set()
    for piece in text.split(","):
        first, _, last = piece.strip().partition("..")
        if not is_date(first) or not is_date(last or first):
            raise ValueError(piece)
        start, end = date.fromisoformat(first), date.fromisoformat(last or first)
        if end < start:
            raise ValueError(piece)
        found.update(str(start + DAY * n) for n in range((end - start).days + 1))
    return tuple(sorted(found))


@cache
def is_date(text: str) -> bool:
    """Whether the text is a date that a partition can have: YYYY-MM-DD, in 1970 to 2199."""
    try:
        return FIRST_DATE <= text <= LAST_DATE and str(date.fromisoformat(text)) == text
    except ValueError:
        return False


def fold_dates(dates: Iterable[str]) -> str:
    """The inverse of parse_dates: consecutive dates folded into ranges."""
    ranges: list[list[str]] = []
    for day in dates:
        if ranges and str(date.fromisoformat(ranges[-1][1]) + DAY) == day:
            ranges[-1][1] = day
        else:
            ranges.append([day, day])
    return ",".join(first if first == last else f"{first}..{last}" for first, last in ranges)


@dataclass(frozen=True)
class Range:
    """The instants that a run covers: [since, until), naive UTC. Without `since` they have no lower bound."""

    since: datetime | None
    until: datetime


def chosen(dates: Iterable[str], since: datetime | None, until: datetime) -> list[str]:
    """The dates that overlap [since, until), sorted. A date is chosen whole or not at all."""
    first = since.date().isoformat() if since else ""
    last = (until - timedelta(microseconds=1)).date().isoformat()
    return sorted(day for day in dates if first <= day <= last)


def days_between(since: datetime, until: datetime) -> list[str]:
    """Every date that overlaps [since, until), sorted."""
    days = ((until - timedelta(microseconds=1)).date() - since.date()).days + 1
    return [str(since.date() + DAY * n) for n in range(days)]


def grouped(dates: list[str], dates_per_task: int) -> list[list[str]]:
    """The dates of each task, `dates_per_task` each. If that is 0: one date each, or above 31 dates a calendar year."""
    if dates_per_task:
        return [dates[start : start + dates_per_task] for start in range(0, len(dates), dates_per_task)]
    if len(dates) <= TASK_A_DATE_UP_TO:
        return [[day] for day in dates]
    return [[day for day in dates if day[:4] == year] for year in sorted({day[:4] for day in dates})]
