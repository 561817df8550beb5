"""How normalizing and curating go over many dates: a piece of them is written while the next one is made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from pipeline.engine import BAD_DATE
from pipeline.errors import CorruptPartition
from pipeline.lake import Outcome
from pipeline.progress import progress

WRITERS = 2
Piece = TypeVar("Piece", contravariant=True)
Result = TypeVar("Result")
Content = TypeVar("Content")


class StagePiece(Protocol[Piece, Result]):
    """What is done to a piece, while the caller holds the lake's lock: its result by date, as its files are written."""

    def __call__(self, piece: Piece, writers: ThreadPoolExecutor) -> Mapping[str, Future[Result]]: ...


def staged(
    what: str, total: int, pieces: Iterable[Piece], work: StagePiece[Piece, Result], outcome: Outcome
) -> dict[str, Result]:
    """What each piece has become, by date; a date that cannot be read or written fails alone."""
    done: dict[str, Result] = {}

    def finish(pending: Mapping[str, Future[Result]]) -> None:
        for date, future in pending.items():
            try:
                done[date] = future.result()
            except (*BAD_DATE, CorruptPartition) as error:
                outcome.fail(date, error)

    with ThreadPoolExecutor(WRITERS) as writers, progress(what, total) as advance:
        pending: Mapping[str, Future[Result]] = {}
        for piece in pieces:
            made = work(piece, writers)
            finish(pending)
            pending = made
            advance(len(made))
        finish(pending)
    return done


def cut(dates: Iterable[str], bytes_of: Callable[[str], int], limit: int) -> Iterator[list[str]]:
    """The dates, in their order, in pieces of at least `limit` bytes but for the last: so the memory is bounded."""
    piece: list[str] = []
    size = 0
    for date in dates:
        piece.append(date)
        size += bytes_of(date)
        if size >= limit:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def one_by_one(
    dates: Mapping[str, Content],
    stage: Callable[[dict[str, Content]], dict[str, Future[Result]]],
) -> dict[str, Future[Result]]:
    """Stage dates together or, if that fails, each alone, so that only those fail that are at fault."""
    try:
        return stage(dict(dates))
    except (*BAD_DATE, CorruptPartition) as error:
        if len(dates) == 1:
            return dict.fromkeys(dates, failed(error))
        return {name: future for date in dates for name, future in one_by_one({date: dates[date]}, stage).items()}


def failed(error: Exception) -> Future[Result]:
    """What a date has become that could not even be begun."""
    future: Future[Result] = Future()
    future.set_exception(error)
    return future
