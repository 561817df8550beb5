"""What a task says of itself while it runs, for luigid's visualizer: seldom, since each time is a request to it."""

import time
from collections.abc import Mapping
from typing import Any

from pipeline.dates import fold_dates
from pipeline.errors import RunFailed
from pipeline.lake import by_text, error_text
from pipeline.observe.history import Summary
from pipeline.progress import listen

SECONDS_BETWEEN = 2.0


class StatusReports:
    """Tells the scheduler how far a task is: at once when a piece of work is done, and else every now and then."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._next = 0.0

    def __call__(self, what: str, done: int, total: int, remark: str) -> None:
        now = time.monotonic()
        if now >= self._next or done >= total:
            self._next = now + SECONDS_BETWEEN
            amount = f": {done:,} of {total:,}" if total else ""
            tell(
                self._task, f"{what}{amount}" + (f"; {remark}" if remark else ""), 100 * done // total if total else 100
            )


def show_outcome(task: Any, summary: Summary | None) -> None:
    """Tell how a RunAll ended, with each date that failed."""
    if summary is not None:
        results = ", ".join(f"{count:,} date(s) {what}" for what, count in summary.results.items() if count)
        tell(task, results + (f": {fold_dates(sorted(summary.failed))}" if summary.failed else ""))


def show_failures(task: Any, failed: Mapping[str, str]) -> None:
    """Tell of the dates of a task that failed, in a run that goes on with the others: Luigi shows the task as done."""
    if failed:
        errors = error_text(by_text({date: RunFailed(error) for date, error in failed.items()}))
        tell(task, f"{len(failed):,} of {len(task.date):,} date(s) failed: {errors}")


def tell(task: Any, message: str, percentage: int = 100) -> None:
    """Have the scheduler show a message and a percentage."""
    # luigi lends a task the scheduler's ear for its run() only
    if task.set_status_message is not None:
        task.set_status_message(message)
        task.set_progress_percentage(percentage)


def watch(task: Any) -> None:
    """Have the work of a task that starts told to the scheduler."""
    listen(StatusReports(task))
