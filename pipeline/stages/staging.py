"""How normalizing and curating go over many dates: a batch is written while the next one is made."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pipeline.engine.connection import BAD_DATE
from pipeline.lake.outcome import Outcome
from pipeline.progress import progress

WRITERS = 2
Batch = TypeVar("Batch", bound=Collection[str])
Result = TypeVar("Result")


def staged(
    what: str,
    total: int,
    batches: Iterable[Batch],
    stage: Callable[[Batch, ThreadPoolExecutor], dict[str, Future[Result]]],
    outcome: Outcome,
) -> dict[str, Result]:
    """What `stage` submits to the writers for each batch, by date; a date that cannot be written fails alone."""
    done: dict[str, Result] = {}

    def finish(pending: dict[str, Future[Result]]) -> None:
        for date, future in pending.items():
            try:
                done[date] = future.result()
            except BAD_DATE as error:
                outcome.fail(date, error)

    with ThreadPoolExecutor(WRITERS) as writers, progress(what, total) as advance:
        pending: dict[str, Future[Result]] = {}
        for batch in batches:
            made = stage(batch, writers)
            finish(pending)
            pending = made
            advance(len(batch))
        finish(pending)
    return done
