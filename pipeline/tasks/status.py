"""What a task says of itself while it runs, for luigid's visualizer: seldom, since each time is a request to it."""

import time
from typing import Any

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
            _tell(
                self._task, f"{what}{amount}" + (f"; {remark}" if remark else ""), 100 * done // total if total else 100
            )


def show_outcome(task: Any, summary: Summary | None) -> None:
    """Tell how a RunAll ended."""
    if summary is not None:
        _tell(task, ", ".join(f"{count:,} date(s) {what}" for what, count in summary.results.items() if count), 100)


def _tell(task: Any, message: str, percentage: int) -> None:
    # luigi lends a task the scheduler's ear for its run() only
    if task.set_status_message is not None:
        task.set_status_message(message)
        task.set_progress_percentage(percentage)


def watch(task: Any) -> None:
    """Have the work of a task that starts told to the scheduler."""
    listen(StatusReports(task))
