"""A process without a lock can normalize or curate a piece of the dates, and gives the same bytes."""

import datetime as dt
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from depth import deep
from feeds import order
from lake import LakeUnderTest

from pipeline.engine import Engine
from pipeline.stages import curate, curate_piece, normalize, normalize_piece, staging

AS_OF = dt.datetime(2025, 1, 20)
BEFORE = [order("o_1"), order("o_2"), order("o_3", created_at="2025-01-16"), b"{bad"]
# o_1 moves to the 16th, and the order of the 17th has no lines
AFTER = [
    order("o_1", created_at="2025-01-16", updated_at="2025-01-17T00:00:00Z"),
    order("o_2"),
    order("o_3", created_at="2025-01-16"),
    order(..., created_at="2025-01-17"),
    order("o_4", created_at="2025-01-17", items=[]),
]


def elsewhere(pickled: bytes, scratch: str) -> dict[str, Any]:
    """What a process that knows nothing but the piece makes of it."""
    piece = pickle.loads(pickled)
    stage = normalize_piece.stage if isinstance(piece, normalize_piece.Piece) else curate_piece.stage
    with Engine(memory_limit="1GB", threads=1, temp_directory=scratch) as engine:
        return dict(stage(engine, piece))


@pytest.fixture
def other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Has both kinds of pieces staged by another process; the dates that it has staged."""
    staged: list[str] = []
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:

        def stage(_: Engine, piece: Any) -> dict[str, Any]:
            made = pool.submit(elsewhere, pickle.dumps(piece), str(tmp_path / "scratch")).result()
            staged.extend(made)
            return made

        monkeypatch.setattr(normalize, "stage", stage)
        monkeypatch.setattr(curate, "stage", stage)
        yield staged


@deep("pieces in another process")
def test_dates_that_another_process_has_staged_are_published_to_the_same_bytes(
    tmp_path: Path, other_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed, alone = LakeUnderTest(tmp_path / "distributed"), LakeUnderTest(tmp_path / "alone")
    assert distributed.run(BEFORE, AS_OF)
    assert distributed.run(AFTER, AS_OF + dt.timedelta(days=1), force=True)
    assert set(other_process) == {"2025-01-15", "2025-01-16", "2025-01-17"}
    monkeypatch.undo()
    assert alone.run(BEFORE, AS_OF)
    assert alone.run(AFTER, AS_OF + dt.timedelta(days=1), force=True)
    assert distributed.files() == alone.files()
    counts = [lake.manifest("fact_order", "2025-01-15")["counts"] for lake in (distributed, alone)]
    assert counts[0] == counts[1]
    assert counts[0]["kept"] == 1


def test_a_large_piece_is_staged_alone_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, alone = LakeUnderTest(tmp_path / "beside"), LakeUnderTest(tmp_path / "alone")
    assert beside.run(BEFORE, AS_OF)
    threads: list[str] = []

    def stage(engine: Engine, piece: Any) -> dict[str, Any]:
        threads.append(threading.current_thread().name)
        return dict(normalize_piece.stage(engine, piece))

    monkeypatch.setattr(staging, "LARGE_BYTES", 0)
    monkeypatch.setattr(normalize, "stage", stage)
    assert alone.run(BEFORE, AS_OF)
    assert {*threads} == {threading.main_thread().name}
    assert alone.files() == beside.files()
