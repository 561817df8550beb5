"""The status messages of a task in luigid's visualizer. Each message is a request to luigid, so they are limited."""

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
    """Sends a task's progress to the scheduler: always at the end of a step, before it every SECONDS_BETWEEN."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._next = 0.0

    def __call__(self, what: str, done: int, total: int, remark: str) -> None:
        now = time.monotonic()
        if now >= self._next or done >= total:
            self._next = now + SECONDS_BETWEEN
            amount = f": {done:,} of {total:,}" if total else ""
            message = f"{what}{amount}" + (f"; {remark}" if remark else "")
            show_status(self._task, message, 100 * done // total if total else 100)


def show_outcome(task: Any, summary: Summary | None) -> None:
    """Show how a RunAll ended, with each date that failed."""
    if summary is not None:
        results = ", ".join(f"{count:,} date(s) {what}" for what, count in summary.results.items() if count)
        show_status(task, results + (f": {fold_dates(sorted(summary.failed))}" if summary.failed else ""))


def show_failures(task: Any, failed: Mapping[str, str]) -> None:
    """Show the failed dates of a task in a run with keep_going, where Luigi shows the task itself as done."""
    if failed:
        errors = error_text(by_text({date: RunFailed(error) for date, error in failed.items()}))
        show_status(task, f"{len(failed):,} of {len(task.date):,} date(s) failed: {errors}")


def show_status(task: Any, message: str, percentage: int = 100) -> None:
    """Have the scheduler show a message and a percentage. Does nothing outside the task's run()."""
    if task.set_status_message is not None:
        task.set_status_message(message)
        task.set_progress_percentage(percentage)


def watch(task: Any) -> None:
    """Send the progress of a task to the scheduler. Call it when the task starts."""
    listen(StatusReports(task))
