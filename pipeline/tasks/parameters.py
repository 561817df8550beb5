"""The parameter types of the tasks: dates, and the as_of of a run."""

from datetime import date, datetime
from typing import Any

from pipeline.config import run
from pipeline.dates import fold_dates, is_date, parse_dates
from pipeline.errors import BadSetting
from pipeline.settings.setting import Instant, Setting
from pipeline.tasks.start import started_at

Dates = tuple[str, ...]
DATES_EXPECTED = "a date in 1970 to 2199 such as 2025-01-15, a range 2025-01-15..2025-01-31, or several with commas"


class DatesParameter(Setting):
    """One date or several. The value is always a sorted tuple of distinct ISO dates. Raises BadSetting."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse_dates, DATES_EXPECTED, description=DATES_EXPECTED, **kwargs)

    def normalize(self, x: Any) -> Dates:
        if isinstance(x, str):
            return parse_dates(x)
        days = [x] if isinstance(x, date) else list(x)
        found = {day if isinstance(day, str) else day.isoformat()[:10] for day in days}
        for day in found:
            if not is_date(day):
                raise BadSetting(f"{self._option} {day}: expected {DATES_EXPECTED}")
        return tuple(sorted(found))

    def serialize(self, x: Dates) -> str:
        return fold_dates(x)

    def next_in_enumeration(self, value: Dates) -> None:
        """Always None. Luigi's execution summary calls it to find ranges, and fails on tuples without it."""


class StampParameter(Instant):
    """The as_of of a run, naive UTC: [run] as_of, or else the start of the run. Raises BadSetting for a future one."""

    def has_task_value(self, task_name: str, param_name: str) -> bool:
        return True

    def task_value(self, task_name: str, param_name: str) -> datetime:
        as_of = run().as_of
        if as_of is not None and as_of > started_at():
            raise BadSetting(f"[run] as_of = {as_of.isoformat()}Z: expected a time in the past")
        return as_of or started_at()
