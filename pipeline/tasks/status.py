"""What a task says of itself while it runs, for luigid's visualizer: seldom, since each time is a request to it."""

import time
from typing import Any

from pipeline.progress import listen

SECONDS_BETWEEN = 2.0


class StatusReports:
    """Tells the scheduler how far a task is: at once when a piece of work is done, and else every now and then."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._next = 0.0

    def __call__(self, what: str, done: int, total: int, remark: str) -> None:
        now = time.monotonic()
        # luigi lends a task the scheduler's ear for its run() only
        if self._task.set_status_message is None or (now < self._next and done < total):
            return
        self._next = now + SECONDS_BETWEEN
        self._task.set_status_message(f"{what}: {done:,} of {total:,}" + (f"; {remark}" if remark else ""))
        self._task.set_progress_percentage(100 * done // total if total else 100)


def watch(task: Any) -> None:
    """Have the work of a task that starts told to the scheduler."""
    listen(StatusReports(task))
