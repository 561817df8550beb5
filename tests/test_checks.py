"""Each data check finds its fault in a damaged lake, and the run fails with the check's name and the rows."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feeds import order
from lake import LakeUnderTest
from msgspec import structs

from pipeline import NormalizeOrders
from pipeline.contract import FACT_ORDER, ITEMS
from pipeline.engine import facts as facts_module
from pipeline.engine.connection import Engine, check_names
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import parquet_of
from pipeline.lake.run import Intent
from pipeline.observe.checks import run_checks
from pipeline.observe.counts import touched

IN_MEMORY = {"memory_limit": "1GB", "threads": 0, "temp_directory": ""}
AS_OF = dt.datetime(2025, 1, 20, 12)
SENT = [order("o_1", amount=30), order("o_2", amount=10, created_at="2025-01-16"), order("o_3", amount=5)]
Rows = list[dict[str, Any]]


@pytest.fixture
def built(lake: LakeUnderTest) -> LakeUnderTest:
    """A lake of three orders on two dates."""
    assert lake.run(SENT, AS_OF)
    return lake


def doctor(lake: LakeUnderTest, date: str, table: str, change: Callable[[Rows], Rows]) -> None:
    """Change rows of a curated file, behind the pipeline's back."""
    path = lake.root / f"curated/date={date}/{table}.parquet"
    found = pq.read_table(path, partitioning=None)
    contract = FACT_ORDER if table == "fact_order" else ITEMS
    path.write_bytes(parquet_of(contract, pa.Table.from_pylist(change(found.to_pylist()), contract.schema)))


def checked(lake: LakeUnderTest, **counts: int) -> dict[str, list[str]]:
    """The faults found in what the run touched, by check; counts given here replace those of the manifests."""
    storage = Lake(lake.root, fsync=False)
    parts = touched(storage, Intent(AS_OF))
    changed = [replace(part, summary=structs.replace(part.summary, **counts)) for part in parts]
    with Engine(**IN_MEMORY) as engine:
        found = run_checks(storage, engine, changed)
    assert sorted(found) == check_names()
    assert all(len(finding.first) == min(finding.rows, 5) for finding in found.values())
    return {name: finding.first for name, finding in found.items() if finding.rows}


def test_a_date_that_another_run_has_just_normalized_again_is_not_judged_before_that_run_has_curated_it(built):
    later = AS_OF + dt.timedelta(hours=1)
    assert built.run_date(NormalizeOrders, dt.date(2025, 1, 15), [*SENT, order("o_4")], later, force=True)
    assert checked(built) == {}


def test_a_lake_that_is_true_breaks_no_check(built):
    assert checked(built) == {}
    assert built.summary(AS_OF)["checks"] == {name: {"rows": 0, "first": []} for name in check_names()}


def test_an_order_in_two_partitions_is_found(built):
    stolen = pq.read_table(built.root / "curated/date=2025-01-15/fact_order.parquet", partitioning=None).to_pylist()[:2]
    moved = [row | {"date": dt.date(2025, 1, 16)} for row in stolen]
    doctor(built, "2025-01-16", "fact_order", lambda rows: [*moved, *rows])
    (row,) = checked(built)["order_id_in_one_partition"]
    assert "o_1" in row
    assert "2025, 1, 15" in row
    assert "2025, 1, 16" in row


def test_shares_that_do_not_add_up_are_found(built):
    doctor(built, "2025-01-15", "fact_order", lambda rows: [rows[0] | {"amount": Decimal("1.0000")}, *rows[1:]])
    found = checked(built)
    assert list(found) == ["shares_sum_to_amounts"]
    assert "'order_id': 'o_1'" in found["shares_sum_to_amounts"][0]
    assert "Decimal('30.0000')" in found["shares_sum_to_amounts"][0]


def test_a_share_where_the_order_has_no_amount_is_found(lake):
    assert lake.run([order("o_1", amount=None)], AS_OF)
    doctor(lake, "2025-01-15", "fact_order", lambda rows: [rows[0] | {"amount": Decimal(0)}, *rows[1:]])
    assert list(checked(lake)) == ["shares_sum_to_amounts"]


def test_an_order_that_fact_order_lacks_altogether_is_found(built):
    doctor(built, "2025-01-15", "fact_order", lambda rows: [row for row in rows if row["order_id"] != "o_3"])
    found = checked(built)
    assert "items_within_orders" in found
    assert "'order_id': 'o_3'" in found["items_within_orders"][0]


def test_lines_of_an_order_that_fact_order_does_not_have_are_found(built):
    doctor(built, "2025-01-16", "order_items", lambda rows: [*rows, rows[-1] | {"order_id": "o_9"}])
    found = checked(built)
    assert list(found) == ["items_within_orders"]
    assert "'order_id': 'o_9'" in found["items_within_orders"][0]


@pytest.mark.parametrize("table", ["fact_order", "order_items"])
def test_a_row_of_another_date_than_its_folder_is_found(built, table):
    doctor(built, "2025-01-16", table, lambda rows: [row | {"date": dt.date(2025, 1, 17)} for row in rows])
    rows = checked(built)["file_date_is_folder_date"]
    assert f"date=2025-01-16/{table}.parquet" in rows[0]
    assert "2025, 1, 17" in rows[0]


@pytest.mark.parametrize("figure", ["extracted", "normalized", "superseded_here", "kept", "superseded_elsewhere"])
def test_counts_that_do_not_add_up_are_found(built, figure):
    found = checked(built, **{figure: 77})
    assert list(found) == ["every_record_is_counted"]
    assert f"'{figure}': 77" in found["every_record_is_counted"][0]


def test_a_run_that_writes_wrong_shares_fails_and_names_the_check_and_an_order(lake, monkeypatch, caplog):
    good = facts_module.shares
    monkeypatch.setattr(
        facts_module, "shares", lambda amount, qty, price, size: good(amount, qty, price, size).take([0] * 6)
    )
    assert not lake.run([order("o_1", amount=30), order("o_2", amount=30), order("o_3", amount=30)], AS_OF)
    (error,) = lake.errors
    found = lake.summary(AS_OF)["checks"]["shares_sum_to_amounts"]
    assert found["rows"] == len(found["first"]) == 3
    assert f"check shares_sum_to_amounts: 3 row(s) break it, such as {found['at']}; run" in error
    assert re.fullmatch(r"order_id=o_[123] date=2025-01-15", found["at"])
    assert all("'amount': Decimal" in row for row in found["first"])
    logged = f"{error} {caplog.text}"
    assert "such as order_id=" in logged
    assert "Decimal" not in logged


def test_a_run_that_finds_the_lake_in_order_says_so_for_what_it_touched_only(built):
    doctor(built, "2025-01-16", "fact_order", lambda rows: [row | {"amount": Decimal(7)} for row in rows])
    again = AS_OF + dt.timedelta(hours=1)
    built.root.joinpath("curated/date=2025-01-15/fact_order.parquet").unlink()
    assert built.run(None, again)
    assert built.summary(again)["checks"] == {name: {"rows": 0, "first": []} for name in check_names()}


def test_a_date_that_cannot_be_built_is_one_error_and_the_checks_run_over_the_others(built):
    for path in built.root.glob("curated/date=*/*"):
        path.unlink()
    path = built.root / "normalized/date=2025-01-15/orders.parquet"
    whole = path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    again = AS_OF + dt.timedelta(hours=1)
    assert not built.run(None, again)
    (error,) = built.errors
    assert "normalized/date=2025-01-15: orders.parquet cannot be read; it counts as lost" in error
    assert set(built.summary(again)["checks"]) == set(check_names())
    assert built.run(None, again + dt.timedelta(hours=1))
    assert path.read_bytes() == whole
    assert len(built.curated("fact_order")[dt.date(2025, 1, 15)]) == 4
