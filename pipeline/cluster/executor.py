"""What an executor does: it stages one piece of dates with the code and the engine of one machine.

It reads and writes the lake's folder, which it reaches by the path that the driver uses. It publishes nothing.
"""

import hashlib
import pickle
import platform
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from pipeline.engine import Engine
from pipeline.lake import Files

PACKAGES = ("duckdb", "pyarrow", "numpy")


class Dates(Protocol):
    """A piece of dates, as a dataclass."""

    @property
    def files(self) -> Files: ...

    @property
    def dates(self) -> Iterable[str]: ...


Piece = TypeVar("Piece", bound=Dates)
Work = Callable[[Engine, Piece], Any]


@dataclass(frozen=True)
class Unfit:
    """Why an executor has not staged a piece: its software is not that of the driver, or it finds no lake."""

    text: str


@cache
def software() -> dict[str, str]:
    """What decides the bytes of a file, beside the settings, which travel with each piece: versions, and our code."""
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "orders-lake": f"{version('orders-lake')} (files {_digest()})",
    }


def _digest() -> str:
    """The start of the sha256 of the package's code, since two checkouts can have one version."""
    package = Path(__file__).parents[1]
    code = sorted(path for kind in ("*.py", "*.sql") for path in package.rglob(kind))
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:12]


def question(work: Work[Piece] | None, piece: Piece | None, memory_limit: str) -> bytes:
    """The call of `work` for a piece, for answers(). Without `work`, only the software is compared."""
    return pickle.dumps((software(), pickle.dumps((work, piece, memory_limit))))


def answers(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A row `answer` for each row `question`: pickled, what the work has returned, or Unfit."""
    for batch in batches:
        found = [pickle.dumps(_answer(asked)) for asked in batch["question"].to_pylist()]
        yield pa.RecordBatch.from_pydict({"answer": pa.array(found, pa.binary())})


def _answer(asked: bytes) -> Any:
    expected, call = pickle.loads(asked)  # noqa: S301  SECURITY.md: driver and executors trust each other
    found, host = software(), socket.gethostname()
    wrong = [f"{name} {found[name]}, not {expected[name]}" for name in expected if found[name] != expected[name]]
    if wrong:
        return Unfit(f"the executor on {host} has {', '.join(wrong)}; expected the software of the driver")
    work, piece, memory_limit = pickle.loads(call)  # noqa: S301  SECURITY.md: driver and executors trust each other
    if work is None:
        return None
    try:
        files = piece.files.apart()
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        return Unfit(
            f"the executor on {host} cannot write to {error.filename}: {error.strerror}; expected the lake of the "
            "driver at this path"
        )
    with Engine(memory_limit=memory_limit, threads=1, temp_directory=files.stage("duckdb")) as engine:
        return work(engine, replace(piece, files=files))
