"""normalize_orders and dedupe on Python objects and pandas frames."""

import datetime as dt
import json
import math
import subprocess
import sys
from decimal import Decimal

import feeds
import pandas as pd
import pyarrow as pa
import pytest
import reference as ref
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import dedupe, normalize_orders
from pipeline.contract import ITEMS, ORDERS


def order(order_id: object = "o_1", **fields: object) -> dict:
    return {"order_id": order_id, "created_at": "2025-01-15T10:00:00Z"} | fields


IMPORT = """
import logging, sys, warnings
import luigi, pyarrow
pool = pyarrow.default_memory_pool().backend_name
from pipeline import normalize_orders
from luigi.parameter import UnconsumedParameterWarning
from pipeline.tasks.start import started_at
if "used" in sys.argv:
    normalize_orders([{"order_id": "o_1", "created_at": "2025-01-15"}])
assert pyarrow.default_memory_pool().backend_name == pool != "system"
assert [logging.getLogger(name).handlers for name in ("", "pipeline", "luigi-interface")] == [[], [], []]
assert logging.getLogger("luigi-interface").filters == []
assert not [kind for _, _, kind, _, _ in warnings.filters if kind is UnconsumedParameterWarning]
assert started_at.cache_info().currsize == 0
"""


@pytest.mark.parametrize("how", ["imported", "used"])
def test_a_program_that_has_normalize_orders_keeps_its_log_its_warnings_and_its_memory(how):
    done = subprocess.run([sys.executable, "-c", IMPORT, how], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_order_becomes_a_row_of_orders_and_a_row_a_line_of_items():
    orders, items = normalize_orders(
        [
            order(
                user_id=7,
                amount="12.50",
                currency="EUR",
                updated_at="2025-01-15T12:00:00+01:00",
                metadata={"a": [1, None]},
                status="paid",
                items=[{"sku": "s_1", "qty": 2, "price": 1.25}, {"sku": "s_2", "qty": 2.7}],
            )
        ]
    )
    assert orders.to_dict("records") == [
        {
            "order_id": "o_1",
            "user_id": "7",
            "amount": Decimal("12.5000"),
            "currency": "EUR",
            "created_at": pd.Timestamp("2025-01-15T10:00:00"),
            "updated_at": pd.Timestamp("2025-01-15T11:00:00"),
            "metadata": '{"a":[1,null]}',
            "date": dt.date(2025, 1, 15),
            "status": "paid",
            "excluded": False,
        }
    ]
    assert items["line_number"].tolist() == [1, 2]
    assert items["price"].tolist() == [Decimal("1.2500"), None]
    assert items["qty"].isna().tolist() == [False, True]
    assert items["date"].tolist() == [dt.date(2025, 1, 15)] * 2


def test_frames_have_the_columns_of_the_contract_also_without_orders():
    for records in ([], [order()], [order(None)]):
        orders, items = normalize_orders(records)
        assert list(orders.columns) == ORDERS.schema.names
        assert list(items.columns) == ITEMS.schema.names


@pytest.mark.parametrize(
    "record",
    [None, 7, "o_1", [], [order()], {}, order(None), order(created_at=None), order(created_at="infinity"),
     order(created_at="2999-01-01"), order(amount=math.nan), order(metadata=[math.inf]), order("\ud800")],
)  # fmt: skip
def test_a_record_that_the_contract_discards_is_left_out(record):
    orders, items = normalize_orders([record, order("good", items=[{"sku": "s"}])])
    assert orders["order_id"].tolist() == ["good"]
    assert items["order_id"].tolist() == ["good"]


def test_the_latest_version_of_an_order_stays_wherever_its_created_at_lies():
    orders, _ = normalize_orders(
        [
            order("o_1", amount=2, created_at="2025-01-16"),
            order("o_1", amount=1, created_at="2025-01-15"),
            order("o_2", amount=1),
            order("o_2", amount=2),
            order("o_3", amount=2, updated_at="2025-01-15T12:00:00Z"),
            order("o_3", amount=1, created_at="2025-01-15T11:00:00Z"),
        ]
    )
    assert dict(zip(orders["order_id"], orders["amount"], strict=True)) == dict.fromkeys(
        ("o_1", "o_2", "o_3"), Decimal(2)
    )


def test_records_may_come_from_a_generator_and_hold_dates_and_decimals():
    rows = [order(created_at=dt.datetime(2025, 1, 15, 10, tzinfo=dt.UTC), amount=Decimal("0.10"))]
    orders, _ = normalize_orders(row for row in rows)
    assert orders["amount"].tolist() == [Decimal("0.1000")]
    assert orders["created_at"].tolist() == [pd.Timestamp("2025-01-15T10:00:00")]


@given(st.lists(feeds.records(), max_size=8).map(lambda found: [json.loads(feeds.dump(record)) for record in found]))
@settings(max_examples=examples(40), deadline=None)
def test_any_records_are_normalized_as_their_json_text_is(records):
    orders, items = normalize_orders(records)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    judged = [ref.judge(json.dumps(record).encode(), now) for record in records]
    latest: dict[str, ref.Order] = {}
    for found in judged:
        if isinstance(found, ref.Order):
            rival = latest.get(found.order_id, found)
            if _version(found) >= _version(rival):
                latest[found.order_id] = found
    assert sorted(orders["order_id"]) == sorted(latest)
    assert len(items) == sum(len(found.items) for found in latest.values())
    for row in pa.Table.from_pandas(orders, ORDERS.schema, preserve_index=False).to_pylist():
        assert (row["amount"], row["created_at"]) == latest[row["order_id"]][3:6:2]


def _version(order: ref.Order) -> tuple[dt.datetime, dt.datetime]:
    return (order.updated_at or order.created_at, order.created_at)


# dedupe


def frame(*rows: tuple, columns: tuple = ("order_id", "created_at", "updated_at", "who"), index=None) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns), index=index)


def test_the_version_with_the_later_updated_at_stays():
    df = frame(("o_1", "2025-01-15", "2025-01-17", "kept"), ("o_1", "2025-01-16", "2025-01-16", "gone"))
    assert dedupe(df)["who"].tolist() == ["kept"]


def test_without_an_updated_at_created_at_counts():
    df = frame(("o_1", "2025-01-18", None, "kept"), ("o_1", "2025-01-16", "2025-01-17", "gone"))
    assert dedupe(df)["who"].tolist() == ["kept"]
    assert dedupe(df.drop(columns="updated_at"))["who"].tolist() == ["kept"]


def test_a_tie_goes_to_the_later_row():
    df = frame(*[("o_1", "2025-01-15", None, n) for n in range(50)])
    assert dedupe(df)["who"].tolist() == [49]


def test_order_index_and_columns_stay():
    df = frame(
        ("b", "2025-01-15", None, 1), ("a", "2025-01-15", None, 2), ("b", "2025-01-16", None, 3), index=[7, 7, "x"]
    )  # fmt: skip
    result = dedupe(df)
    assert result.index.tolist() == [7, "x"]
    assert result["who"].tolist() == [2, 3]
    pd.testing.assert_frame_equal(result, df.iloc[[1, 2]])


def test_rows_without_a_key_all_stay():
    df = frame((None, "2025-01-15", None, 1), (None, "2025-01-15", None, 2), ("a", "2025-01-15", None, 3))
    assert dedupe(df)["who"].tolist() == [1, 2, 3]


def test_the_frame_that_came_in_is_not_changed():
    df = frame(("a", "2025-01-15", None, 1), ("a", "2025-01-16", None, 2))
    before = df.copy(deep=True)
    result = dedupe(df)
    result.loc[:, "who"] = 9
    pd.testing.assert_frame_equal(df, before)


def test_another_column_can_be_the_key():
    df = frame(("o_1", "2025-01-15", None, "x"), ("o_2", "2025-01-15", None, "x"), ("o_3", "2025-01-15", None, "y"))
    assert dedupe(df, key="who")["order_id"].tolist() == ["o_2", "o_3"]


def test_a_frame_without_the_key_is_refused():
    with pytest.raises(KeyError, match="order_id"):
        dedupe(frame(("o_1", "2025-01-15", None, 1)).drop(columns="order_id"))


def test_a_frame_without_created_at_goes_by_updated_at():
    df = frame(
        ("o_1", "2025-01-17", "kept"),
        ("o_1", "2025-01-16", "gone"),
        ("o_1", None, "gone"),
        ("o_2", None, "gone"),
        ("o_2", None, "kept"),
        columns=("order_id", "updated_at", "who"),
    )
    assert dedupe(df)["who"].tolist() == ["kept", "kept"]


def test_a_frame_without_updated_at_goes_by_created_at():
    df = frame(
        ("o_1", "2025-01-17", "kept"), ("o_1", "2025-01-16", "gone"), columns=("order_id", "created_at", "who")
    )  # fmt: skip
    assert dedupe(df)["who"].tolist() == ["kept"]


def test_a_frame_without_created_at_and_updated_at_keeps_the_last_row_of_each_key():
    df = frame(
        ("o_1", "gone"), ("o_2", "kept"), (None, "kept"), ("o_1", "kept"), (None, "kept"), columns=("order_id", "who")
    )  # fmt: skip
    assert dedupe(df).index.tolist() == [1, 2, 3, 4]
    assert dedupe(df)["who"].tolist() == ["kept"] * 4
    assert dedupe(df.iloc[:0]).empty


def test_timestamps_keep_their_zone_and_microseconds():
    df = frame(
        ("a", pd.Timestamp("2025-01-15T23:30:00-05:00"), None, "kept"),
        ("a", pd.Timestamp("2025-01-16T04:29:59.999999Z"), None, "gone"),
    )
    df["created_at"] = pd.to_datetime(df["created_at"], utc=True)
    assert dedupe(df)["who"].tolist() == ["kept"]


def test_keys_may_be_numbers_and_frames_empty():
    df = frame((1, "2025-01-15", None, "a"), (1, "2025-01-16", None, "b"), (2, "2025-01-15", None, "c"))
    assert dedupe(df)["who"].tolist() == ["b", "c"]
    assert dedupe(df.iloc[:0]).empty
    assert dedupe(normalize_orders([])[0]).empty


def test_what_normalize_orders_gives_is_deduplicated_already():
    orders, _ = normalize_orders([order("o_1"), order("o_1"), order("o_2", updated_at="2025-01-16")])
    pd.testing.assert_frame_equal(dedupe(orders), orders)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", None]),
            st.sampled_from(["2025-01-15", "2025-01-16T00:00:00.000001", "2025-01-16T01:00:00"]),
            st.sampled_from([None, "2025-01-15", "2025-01-16T00:00:00.000001", "2025-01-17"]),
        ),
        max_size=12,
    )
)
@settings(max_examples=examples(40), deadline=None)
def test_any_frame_keeps_the_greatest_version_of_each_key(rows):
    df = frame(*[(*row, n) for n, row in enumerate(rows)])
    versions = [((updated or created), created, n) for n, (_, created, updated) in enumerate(rows)]
    best = {row[0]: max(v for v, other in zip(versions, rows, strict=True) if other[0] == row[0]) for row in rows}
    expected = [n for n, row in enumerate(rows) if row[0] is None or best[row[0]][2] == n]
    assert dedupe(df)["who"].tolist() == expected
