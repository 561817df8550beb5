"""Orders that [orders_fields] exclude matches supersede like any version, and are in no curated table."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from depth import deep, examples
from feeds import Raw, dump, order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake import LakeUnderTest

from pipeline import WriteFactOrder
from pipeline.contract import UTC_MICROSECONDS
from pipeline.engine.connection import Engine
from pipeline.engine.lines import bind_lines, split_lines
from pipeline.fields import FieldMap

AS_OF = dt.datetime(2025, 2, 1)
HOUR = dt.timedelta(hours=1)
JAN_15, JAN_16 = dt.date(2025, 1, 15), dt.date(2025, 1, 16)
CONDITIONS = "$.test, $.status in failed,cancelled"
NOT_SET = ("null", "false", "0", "-0", "0.0", "0e9", "-0.00E-400", '""', '"false"')
SET = ("true", "1", "-1", "1e-400", "0.1", "1e400", '"true"', '"0"', '"False"', '" "', "[]", "{}", "[0]", '{"a":null}')


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(memory_limit="256MB", threads=1, temp_directory="") as opened:
        yield opened


def excluded(engine: Engine, line: bytes, conditions: str) -> bool:
    """What both readers say of a line."""
    found = set()
    for exactly in ((), (0,)):
        lines = split_lines(line + b"\n")
        now = pa.array([AS_OF], UTC_MICROSECONDS)
        fields = FieldMap({"exclude": conditions})
        bind_lines(engine, lines, dates=pa.nulls(1, pa.date32()), answers_as_of=now, fields=fields, exactly=exactly)
        found.add(engine.query("record")["excluded"][0].as_py())
    (agreed,) = found
    return bool(agreed)


@pytest.mark.parametrize("text", [*NOT_SET, *SET])
def test_a_value_is_set_unless_it_is_null_false_zero_or_an_empty_text(engine: Engine, text: str) -> None:
    assert excluded(engine, order(test=Raw(text)), "$.test") == (text in SET)


def test_a_value_that_is_not_there_excludes_nothing(engine: Engine) -> None:
    assert not excluded(engine, order(), "$.test, $.a.b[3], $.status in failed")


@pytest.mark.parametrize(
    ("status", "is_listed"),
    [("failed", True), ("cancelled", True), ("Failed", False), ("failed ", False), (None, False), (5, False)],
)
def test_a_listed_text_is_the_whole_value(engine: Engine, status: Any, is_listed: bool) -> None:
    assert excluded(engine, order(status=status), CONDITIONS) == is_listed


values = st.recursive(
    st.sampled_from([Raw(text) for text in (*NOT_SET, *SET, '"failed"', '"\\u0066ailed"')]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)


@deep("excluded orders")
@given(st.dictionaries(st.sampled_from(["test", "status", "state", "te\\st"]), values, max_size=4))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_both_readers_exclude_alike(engine: Engine, record: dict[str, Any]) -> None:
    excluded(engine, dump(record).encode(), "$.test, $.status in failed, $.state in 0,false")


def kept(lake: LakeUnderTest) -> dict[dt.date, list[str]]:
    return {date: [row[0] for row in rows] for date, rows in lake.curated("fact_order").items()}


def test_an_order_that_is_cancelled_later_leaves_the_curated_tables(lake: LakeUnderTest) -> None:
    lake.settings["orders_fields"] = {"exclude": CONDITIONS}
    one, two = order("o_1", items=[], status="paid"), order("o_2", items=[], test=1)
    assert lake.run([one, two], AS_OF), lake.errors
    assert kept(lake) == {JAN_15: ["o_1"]}
    cancelled = order("o_1", items=[], status="cancelled", updated_at="2025-01-31T10:00:00Z")
    # the date is settled
    assert lake.run([cancelled, two], AS_OF + HOUR), lake.errors
    assert kept(lake) == {JAN_15: ["o_1"]}
    assert lake.run([cancelled, two], AS_OF + 2 * HOUR, changed_since=AS_OF), lake.errors
    assert kept(lake) == {JAN_15: []}
    rows = [(row[0], row[8], row[9]) for row in lake.normalized("orders")[JAN_15]]
    assert rows == [("o_1", "cancelled", True), ("o_2", None, True)]
    assert lake.summary(AS_OF + 2 * HOUR)["dates"]["2025-01-15"]["excluded"] == 2


def test_an_excluded_order_supersedes_the_version_of_another_date(lake: LakeUnderTest) -> None:
    lake.settings["orders_fields"] = {"exclude": CONDITIONS}
    paid = order("o_1", items=[])
    moved = order("o_1", items=[], created_at="2025-01-16T10:00:00Z", updated_at="2025-01-20", status="failed")
    assert lake.run([paid, moved], AS_OF), lake.errors
    assert kept(lake) == {JAN_15: [], JAN_16: []}
    assert lake.manifest("fact_order", JAN_15)["counts"]["superseded_elsewhere"] == 1
    assert lake.manifest("fact_order", JAN_16)["counts"]["excluded"] == 1
    back = order("o_1", items=[], updated_at="2025-01-21")
    assert lake.run([back, moved], AS_OF + HOUR, force=True), lake.errors
    assert kept(lake) == {JAN_15: ["o_1"], JAN_16: []}
    # the excluded order is another date's now, which counts first
    counts = lake.manifest("fact_order", JAN_16)["counts"]
    assert (counts["superseded_elsewhere"], counts.get("excluded", 0)) == (1, 0)


def test_the_lines_of_an_excluded_order_are_in_neither_table(lake: LakeUnderTest) -> None:
    lake.settings["orders_fields"] = {"exclude": CONDITIONS}
    assert lake.run([order("o_1"), order("o_2", test="yes")], AS_OF), lake.errors
    for table in ("fact_order", "order_items"):
        assert {row[0] for row in lake.curated(table)[JAN_15]} == {"o_1"}
    assert {row[0] for row in lake.normalized("items")[JAN_15]} == {"o_1", "o_2"}


def as_before(lake: LakeUnderTest, date: dt.date) -> None:
    """Make a date's normalized partition one of logic version 2: without status, excluded and counts of fields."""
    folder = lake.root / f"normalized/date={date}"
    path = folder / "orders.parquet"
    table = pq.read_table(path, partitioning=None).drop_columns(["status", "excluded"])
    pq.write_table(table, path)
    manifest = json.loads((folder / "_normalized.json").read_text())
    del manifest["counts"]["fields"], manifest["hashes"]
    manifest["logic_version"] = 2
    manifest["files"][f"normalized/date={date}/orders.parquet"] = path.stat().st_size
    (folder / "_normalized.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("old", [JAN_15, JAN_16])
def test_a_lake_of_before_is_taken_on(lake: LakeUnderTest, old: dt.date) -> None:
    one = order("o_1", items=[])
    two = order("o_2", items=[], created_at="2025-01-16T10:00:00Z", status="paid")
    assert lake.run([one, two], AS_OF), lake.errors
    as_before(lake, old)
    written = lake.written()
    assert lake.run(None, AS_OF + HOUR), lake.errors
    assert {name: stat for name, stat in lake.written().items() if name in written} == written
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        rows = connection.sql("SELECT order_id, status, excluded FROM orders ORDER BY order_id").fetchall()
    assert rows == [("o_1", None, False), ("o_2", None if old == JAN_16 else "paid", False)]
    # a new date that shares an order with the old one, so that both are read together
    moved = order("o_1", items=[], created_at="2025-01-17T10:00:00Z", updated_at="2025-01-18", status="paid")
    assert lake.run([one, two, moved], AS_OF + 2 * HOUR), lake.errors
    assert kept(lake) == {JAN_15: [], JAN_16: ["o_2"], dt.date(2025, 1, 17): ["o_1"]}


@deep("excluded orders")
def test_a_date_waits_for_a_partition_that_may_exclude_its_orders_and_is_not_whole(lake: LakeUnderTest) -> None:
    lake.settings["orders_fields"] = {"exclude": CONDITIONS}
    cancelled = order("o_1", items=[], created_at="2025-01-16", updated_at="2025-01-20", status="cancelled")
    assert lake.run([order("o_1", items=[]), cancelled], AS_OF), lake.errors
    (lake.root / "normalized/date=2025-01-16/orders.parquet").unlink()
    assert not lake.run_date(WriteFactOrder, JAN_15, None, AS_OF + HOUR, reprocess=True)
    reason = "date=2025-01-16 has excluded orders, which may be later versions of orders of date=2025-01-15"
    assert f"normalized/date=2025-01-16: not whole; {reason}" in lake.errors[0]
    assert kept(lake)[JAN_15] == []
    assert lake.run(None, AS_OF + 2 * HOUR), lake.errors
    assert kept(lake) == {JAN_15: [], JAN_16: []}


@pytest.mark.parametrize(
    ("value", "is_listed"), [("5", True), ('"5"', True), ("true", True), ("5.0", False), ("null", False)]
)
def test_a_listed_text_may_be_a_number_or_true(engine: Engine, value: str, is_listed: bool) -> None:
    assert excluded(engine, order(code=Raw(value)), "$.code in 5,true,null") == is_listed


def test_that_all_orders_are_excluded_is_said(lake: LakeUnderTest) -> None:
    lake.settings["orders_fields"] = {"exclude": "$.order_id"}
    assert lake.run([order(f"o_{n}") for n in range(20)], AS_OF), lake.errors
    (found,) = lake.summary(AS_OF)["health"]
    assert (found["text"].split(",")[0], found["is_ill"]) == ("exclude: all 20 orders are excluded", False)
