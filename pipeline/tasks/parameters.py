"""The parameters of the tasks: dates, and the moment a run is as of."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipeline.config import Instant, Setting, run
from pipeline.errors import BadSetting

DAY = timedelta(days=1)
PROCESS_START = datetime.now(UTC).replace(tzinfo=None)

Dates = tuple[str, ...]


def parse_dates(text: str) -> Dates:
    """ISO dates from `2025-01-15`, `2025-01-15..2025-01-31`, or several of them with commas."""
    found: set[str] = set()
    for piece in text.split(","):
        first, _, last = piece.strip().partition("..")
        start, end = date.fromisoformat(first), date.fromisoformat(last or first)
        if end < start or len(first) != 10:
            raise ValueError(piece)
        found.update(str(start + DAY * n) for n in range((end - start).days + 1))
    return tuple(sorted(found))


def fold_dates(dates: Iterable[str]) -> str:
    """The inverse of parse_dates: consecutive dates folded into ranges."""
    ranges: list[list[str]] = []
    for day in dates:
        if ranges and str(date.fromisoformat(ranges[-1][1]) + DAY) == day:
            ranges[-1][1] = day
        else:
            ranges.append([day, day])
    return ",".join(first if first == last else f"{first}..{last}" for first, last in ranges)


class DatesParameter(Setting):
    """One date or several; the value is always a sorted tuple of ISO dates without repeats."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "a date such as 2025-01-15, a range 2025-01-15..2025-01-31, or several with commas"
        super().__init__(parse_dates, expected, **kwargs)

    def normalize(self, x: Any) -> Dates:
        if isinstance(x, str):
            return self.parse(x)
        days = [x] if isinstance(x, date) else list(x)
        return tuple(sorted({day if isinstance(day, str) else day.isoformat()[:10] for day in days}))

    def serialize(self, x: Dates) -> str:
        return fold_dates(x)

    def next_in_enumeration(self, value: Dates) -> None:
        """Tuples are not enumerated: luigi's summary would otherwise try to."""


class StampParameter(Instant):
    """When a run is as of: [run] as_of, or the start of the process."""

    def has_task_value(self, task_name: str, param_name: str) -> bool:
        return True

    def task_value(self, task_name: str, param_name: str) -> datetime:
        as_of = run().as_of
        if as_of is not None and as_of > PROCESS_START:
            raise BadSetting(f"[run] as_of = {as_of.isoformat()}Z: expected a time that has passed")
        return as_of or PROCESS_START
