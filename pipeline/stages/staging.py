"""Stages many dates in pieces, for normalizing and curating. A piece is written while the next one is computed."""

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
    """Stages one piece. Returns a future by date, which is done when the files of the date are written."""

    def __call__(self, piece: Piece, writers: ThreadPoolExecutor) -> Mapping[str, Future[Result]]: ...


def staged(
    what: str, total: int, pieces: Iterable[Piece], work: StagePiece[Piece, Result], outcome: Outcome
) -> dict[str, Result]:
    """The results of all pieces, by date. A date that cannot be read or written fails; the other dates do not."""
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
    """The dates, in their order, in pieces of at least `limit` bytes each; the last piece may be smaller."""
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
    """Stage the dates together. If that fails, stage each date alone, so that only the dates at fault fail."""
    try:
        return stage(dict(dates))
    except (*BAD_DATE, CorruptPartition) as error:
        if len(dates) == 1:
            return dict.fromkeys(dates, failed(error))
        return {name: future for date in dates for name, future in one_by_one({date: dates[date]}, stage).items()}


def failed(error: Exception) -> Future[Result]:
    """The future of a date whose work could not start."""
    future: Future[Result] = Future()
    future.set_exception(error)
    return future
