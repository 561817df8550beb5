"""Key files: a run opens the tables of those other dates only that may hold one of its orders."""

import datetime as dt
import errno
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feeds import order
from hypothesis import given
from hypothesis import strategies as st
from lake import LakeUnderTest
from msgspec import UNSET

from pipeline import WriteFactOrder
from pipeline.contract import FACT_ORDER, KEY_SUFFIX
from pipeline.engine.connection import Engine
from pipeline.lake.files import Files
from pipeline.lake.keys import LONGEST_BOUND, Keys
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import parquet_of
from pipeline.lake.run import Intent
from pipeline.observe.checks import run_checks
from pipeline.observe.counts import touched

AS_OF = dt.datetime(2025, 1, 20, 12)
LATER = AS_OF + dt.timedelta(hours=1)
OTHER = "2025-01-15"
HARMS = ["nothing", "zeros", "lost", "of another table", "cut and published so", "not known"]
# o_1 and o_3 on the other date; a new order lies before, between or after them
SENT = [order("o_1", created_at=OTHER), order("o_3", created_at=OTHER)]
ids = st.lists(st.text(max_size=8), max_size=20).map(lambda found: sorted({*found}, key=str.encode))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The partitions whose Parquet files the engine has been told to read, as `layer/date=…`."""
    found: set[str] = set()
    register = Engine.register_files

    def noted(engine, table, paths, name=None):
        paths = list(paths)
        found.update("/".join(Path(path).parts[-3:-1]) for path in paths)
        register(engine, table, paths, name)

    monkeypatch.setattr(Engine, "register_files", noted)
    return found


def add(lake: LakeUnderTest, order_id: str, opened: set[str]) -> set[str]:
    """Land an order on a new date; the layers in which the other date was opened."""
    assert lake.run(SENT, AS_OF)
    opened.clear()
    assert lake.run([*SENT, order(order_id, created_at="2025-01-16")], LATER)
    return {name.partition("/")[0] for name in opened if name.endswith(OTHER)}


def keys_of(found: list[str]) -> Keys:
    return Keys.of(pa.chunked_array([pa.array(found, pa.string())]))


@pytest.mark.parametrize("order_id", ["o_0", "o_4"])
def test_an_order_outside_the_range_of_another_date_leaves_its_files_closed(lake, opened, order_id):
    assert add(lake, order_id, opened) == set()


def test_an_order_within_the_range_of_another_date_that_has_another_key_leaves_its_tables_closed(lake, opened):
    assert add(lake, "o_2", opened) == set()


@pytest.mark.parametrize("how", HARMS)
def test_an_order_that_moves_leaves_its_date_whatever_has_become_of_the_key_file_there(lake, how):
    assert lake.run(SENT, AS_OF)
    harm(lake, f"normalized/date={OTHER}/_orders.keys", how)
    sent = [order("o_1", created_at="2025-01-16", updated_at="2025-01-17"), SENT[1]]
    assert lake.run_date(WriteFactOrder, dt.date(2025, 1, 16), sent, LATER)
    assert places(lake, "o_1") == ["2025-01-16"]


@pytest.mark.parametrize("how", HARMS)
def test_the_checks_find_an_order_on_two_dates_whatever_has_become_of_the_key_file_there(lake, how):
    assert lake.run(SENT, AS_OF)
    assert lake.run([*SENT, order("o_4", created_at="2025-01-16")], LATER)
    harm(lake, f"curated/date={OTHER}/_fact_order.keys", how)
    path = lake.root / "curated/date=2025-01-16/fact_order.parquet"
    rows = pq.read_table(path, partitioning=None).to_pylist()
    changed = pa.Table.from_pylist([row | {"order_id": "o_1"} for row in rows], FACT_ORDER.schema)
    path.write_bytes(parquet_of(FACT_ORDER, changed))
    storage = Lake(lake.root, fsync=False)
    with Engine(memory_limit="1GB", threads=1, temp_directory="") as engine:
        found = run_checks(storage, engine, touched(storage, Intent(LATER)))
    assert "o_1" in found["order_id_in_one_partition"].at


def places(lake: LakeUnderTest, order_id: str) -> list[str]:
    """The dates on which fact_order has the order."""
    rows = lake.curated("fact_order")
    return [str(date) for date, found in rows.items() if any(row[0] == order_id for row in found)]


def harm(lake: LakeUnderTest, name: str, how: str) -> None:
    """Do something to the key file of this name."""
    if how == "lost":
        (lake.root / name).unlink()
    elif how == "zeros":
        (lake.root / name).write_bytes(bytes(16))
    elif how == "of another table":
        (lake.root / name).write_bytes(keys_of(["o_7", "o_8"]).hashes.tobytes())
    elif how == "cut and published so":  # as by a disk that was full
        (lake.root / name).write_bytes(b"")
        lake.believe(name)
    elif how == "not known":
        lake.forget_keys(OTHER)


@given(ids, ids, ids)
def test_two_tables_that_share_an_order_are_never_ruled_out(mine, theirs, common):
    mine, theirs = sorted({*mine, *common}), sorted({*theirs, *common})
    keys, others = keys_of(mine), keys_of(theirs)
    shares = bool({*mine} & {*theirs})
    assert keys.may_meet(others.bounds) or not shares
    assert keys.may_share(others.hashes) == shares


def test_a_lost_key_file_does_not_stop_its_date(lake):
    assert lake.run(SENT, AS_OF)
    (lake.root / f"normalized/date={OTHER}/_orders.keys").unlink()
    (lake.root / f"curated/date={OTHER}/fact_order.parquet").unlink()
    assert lake.run(None, LATER), lake.errors
    assert places(lake, "o_1") == [OTHER]


def test_a_full_disk_is_noticed_when_a_key_file_is_written(lake, monkeypatch):
    stage_bytes = Files.stage_bytes

    def refuse(files, name, content):
        if name.endswith(KEY_SUFFIX):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return stage_bytes(files, name, content)

    monkeypatch.setattr(Files, "stage_bytes", refuse)
    assert not lake.run(SENT, AS_OF)
    assert "No space left on device" in lake.errors[0]


@given(st.lists(ids, min_size=1, max_size=3))
def test_the_keys_of_several_tables_have_a_hash_twice_if_two_of_them_share_an_order(tables):
    shares = len({id_ for table in tables for id_ in table}) < sum(map(len, tables))
    assert Keys.all(map(keys_of, tables)).may_repeat or not shares
    assert not Keys.all(map(keys_of, [["o_1"], ["o_2"]])).may_repeat


@given(st.lists(ids, min_size=1, max_size=3))
def test_the_keys_of_several_tables_are_those_of_all_their_orders(tables):
    together = sorted({id_ for table in tables for id_ in table}, key=str.encode)
    found, expected = Keys.all(map(keys_of, tables)), keys_of(together)
    assert (found.bounds, sorted({*found.hashes.tolist()})) == (expected.bounds, sorted({*expected.hashes.tolist()}))


@pytest.mark.parametrize(
    ("order_id", "hash_"),
    [("o_1", 0x72A2CF7FB87D38A3), ("ö", 0x7B7089E07EF437B1), ("x" * 65_537, 0x19F1C98358680078)],
)
def test_the_hash_of_an_order_id_is_the_same_in_all_versions(order_id, hash_):
    assert keys_of([order_id]).hashes.tolist() == [hash_]


def test_a_long_order_id_is_not_written_to_a_manifest():
    assert keys_of(["a", "b" * (LONGEST_BOUND + 1)]).bounds is UNSET
