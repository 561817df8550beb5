"""Stages many dates in pieces, for normalizing and curating. Pieces are staged side by side, but large ones alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Protocol, TypeVar

from pipeline.cluster import Cluster, Dates
from pipeline.engine import BAD_DATE, Engine
from pipeline.errors import CorruptPartition
from pipeline.lake import Outcome
from pipeline.progress import progress

Content = TypeVar("Content")
Rows = TypeVar("Rows")
Result = TypeVar("Result")
# a piece has more bytes than it was to have only if its last date is large
LARGE_BYTES = 64 << 20
# errors of a date; the other dates continue
AT_FAULT = (*BAD_DATE, CorruptPartition)


class Sized(Dates, Protocol):
    """A piece of dates with its size: about the bytes of the files that it is made from."""

    @property
    def size(self) -> int: ...


Piece = TypeVar("Piece", bound=Sized)

# by date: what was staged, or the error of a date that cannot be read or written
Staged = Mapping[str, Result | Exception]


def staged(
    what: str,
    total: int,
    pieces: Iterable[Piece],
    work: Callable[[Engine, Piece], Staged[Result]],
    place: Engine | Cluster,
    outcome: Outcome,
) -> dict[str, Result]:
    """The results of all pieces, by date, in the order of the pieces. Dates with an error are noted in the outcome."""
    done: dict[str, Result] = {}
    with progress(what, total) as advance:
        for number, made in enumerate(_each(place, work, pieces), 1):
            for date, result in made.items():
                if isinstance(result, Exception):
                    outcome.fail(date, result)
                else:
                    done[date] = result
            advance(len(made), f"piece {number}" if isinstance(place, Cluster) else "")
    return done


def _each(
    place: Engine | Cluster, work: Callable[[Engine, Piece], Staged[Result]], pieces: Iterable[Piece]
) -> Iterator[Staged[Result]]:
    """Stage the pieces side by side; on this machine a large piece alone, because it needs much memory."""
    if isinstance(place, Cluster):
        yield from place.map(work, pieces)
        return
    for is_large, alike in groupby(pieces, key=lambda piece: piece.size > LARGE_BYTES):
        stage = partial(map, partial(work, place)) if is_large else partial(place.map, work)
        yield from stage(alike)


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
    compute: Callable[[dict[str, Content]], Mapping[str, Rows]],
    write: Callable[[str, Rows], Result],
) -> dict[str, Result | Exception]:
    """Compute the dates together, then write one after the other. A date that cannot be written gets its error.

    If computing them together fails, each date is computed alone, so that only the dates at fault get an error.
    """
    try:
        computed = compute(dict(dates))
    except AT_FAULT as error:
        if len(dates) == 1:
            return dict.fromkeys(dates, error)
        alone = [one_by_one({date: content}, compute, write) for date, content in dates.items()]
        return {date: result for made in alone for date, result in made.items()}
    return {date: _written(write, date, rows) for date, rows in computed.items()}


def _written(write: Callable[[str, Rows], Result], date: str, rows: Rows) -> Result | Exception:
    try:
        return write(date, rows)
    except AT_FAULT as error:
        return error
