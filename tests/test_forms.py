"""The forms of paths, such as epoch_seconds, give the same values in DuckDB's reader and in the exact reader."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import UTC_MICROSECONDS
from pipeline.currencies import ISO_4217, STRIPE
from pipeline.engine.connection import Engine
from pipeline.engine.lines import bind_lines, split_lines
from pipeline.fields import FieldMap

NOON = dt.datetime(2025, 1, 15, 12)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(memory_limit="256MB", threads=1, temp_directory="") as opened:
        yield opened


def read(engine: Engine, record: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
    """The record, typed; both readers read it alike."""
    typed = []
    for exactly in ((), (0,)):
        lines = split_lines(json.dumps(record).encode() + b"\n")
        now = pa.array([dt.datetime(2199, 1, 1)], UTC_MICROSECONDS)
        fields = FieldMap(places)
        bind_lines(engine, lines, dates=pa.nulls(1, pa.date32()), answers_as_of=now, fields=fields, exactly=exactly)
        (row,) = engine.query("record").drop_columns(["exact"]).to_pylist()
        typed.append(row | {"items": row["items"] or []})
    assert typed[0] == typed[1]
    return typed[0]


@pytest.mark.parametrize(
    ("form", "value", "currency", "amount"),
    [
        ("minor_units", 1050, "EUR", "10.50"),
        ("minor_units", "-1050", "eur", "-10.50"),
        ("minor_units", 500, "JPY", "500"),
        ("minor_units", 500, "jpy", "500"),
        ("minor_units", 5000, "KWD", "5"),
        ("minor_units", 12_345, "CLF", "1.2345"),
        ("minor_units", 500, "ISK", "500"),
        ("minor_units", 500, "UGX", "500"),
        ("minor_units", 500, "MGA", "5"),
        ("minor_units", 500, "ABC", "5"),
        ("minor_units", 99_999_999_999_999, "JPY", "99999999999999"),
        ("minor_units", 100_000_000_000_000, "JPY", None),
        ("minor_units", "999999999999999999", "JPY", None),
        ("minor_units", 500, None, None),
        ("minor_units", 500, "", None),
        ("minor_units", 500, "EURO", None),
        ("minor_units", 500, "E R", None),
        ("minor_units", 500, 978, None),
        ("minor_units", 10.5, "EUR", None),
        ("minor_units", "1050.0", "EUR", None),
        ("minor_units", "", "EUR", None),
        ("minor_units", True, "EUR", None),
        ("minor_units", None, "EUR", None),
        ("stripe_minor_units", 500, "isk", "5"),
        ("stripe_minor_units", 500, "ugx", "5"),
        ("stripe_minor_units", 500, "mga", "500"),
        ("stripe_minor_units", 500, "jpy", "500"),
        ("stripe_minor_units", 5120, "kwd", "5.12"),
        ("stripe_minor_units", 1050, "usd", "10.50"),
        ("stripe_minor_units", 500, None, None),
        ("hundredths", 500, "JPY", "5"),
        ("hundredths", 500, None, "5"),
    ],
)
def test_money_in_minor_units_has_the_decimals_of_its_orders_currency(
    engine: Engine, form: str, value: Any, currency: Any, amount: str | None
) -> None:
    record = {"amount": value, "currency": currency, "items": [{"price": value}]}
    row = read(engine, record, {"amount": f"$.amount {form}", "items.price": f"$.price {form}"})
    expected = None if amount is None else Decimal(amount)
    assert row["amount"] == expected
    assert row["items"][0]["price"] == expected
    assert row["items"][0]["price_present"] == (value is not None)


@pytest.mark.parametrize("table", [ISO_4217, STRIPE])
def test_a_table_of_currencies_names_three_letter_codes_that_have_not_two_decimals(table: dict[str, int]) -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in table)
    assert set(table.values()) <= {0, 3, 4}


@pytest.mark.parametrize(
    ("currency", "expected"),
    [("eur", "EUR"), ("EUR", "EUR"), ("", ""), (" usd ", " usd "), ("euro", "euro"), ("ſek", "ſek"), (978, None)],
)
def test_a_currency_is_upper_cased_where_it_is_a_code(engine: Engine, currency: Any, expected: str | None) -> None:
    assert read(engine, {"currency": currency}, {})["currency"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wed, 15 Jan 2025 12:00:00 +0000", NOON),
        ("Wed, 15 Jan 2025 07:00:00 -0500", NOON),
        ("15 Jan 2025 12:00 GMT", NOON),
        ("Wed, 15 Jan 2025 12:00:00 UT", NOON),
        ("Wed, 15 Jan 2025 12:00:00 -0000", NOON),
        ("Mon, 15 Jan 2025 12:00:00 +0000", NOON),
        ("Tue, 1 Feb 2022 00:00:00 +0000", dt.datetime(2022, 2, 1)),
        ("Tue, 31 Dec 2024 23:59:59 +0000", dt.datetime(2024, 12, 31, 23, 59, 59)),
        ("Sun, 30 Feb 2025 12:00:00 +0000", None),
        ("Wed, 15 Jan 2025 24:00:00 +0000", None),
        ("Wed, 15 Jan 2025 12:00:00 +2400", None),
        ("Wed, 15 Jan 2025 12:00:00", None),
        ("Wed, 15 Jan 2025 12:00:00 EST", None),
        ("wed, 15 jan 2025 12:00:00 +0000", None),
        ("Wed,  15 Jan 2025 12:00:00 +0000", None),
        ("Wed, 15 Jan 25 12:00:00 +0000", None),
        ("Thu, 01 Jan 1969 12:00:00 +0000", None),
        (" Wed, 15 Jan 2025 12:00:00 +0000", None),
        ("2025-01-15T12:00:00Z", None),
        ("", None),
        (1_736_942_400, None),
        (None, None),
    ],
)
def test_an_rfc2822_time_is_its_instant_and_nothing_else_is_one(
    engine: Engine, text: Any, expected: dt.datetime | None
) -> None:
    places = {"created_at": "$.created rfc2822", "updated_at": "$.updated rfc2822"}
    row = read(engine, {"order_id": "o_1", "created": text, "updated": text}, places)
    assert (row["created_at"], row["updated_at"]) == (expected, expected)
    assert row["reason"] == (None if expected else "missing_created_at" if text is None else "invalid_created_at")


@pytest.mark.parametrize("month", range(1, 13))
def test_an_rfc2822_time_may_be_in_any_month(engine: Engine, month: int) -> None:
    at = dt.datetime(2025, month, 1)
    text = at.strftime("%a, %d %b %Y %H:%M:%S +0000")
    assert read(engine, {"created_at": text}, {"created_at": "$.created_at rfc2822"})["created_at"] == at


@pytest.mark.parametrize(
    ("value", "user_id", "present"),
    [(0, None, False), ("0", None, False), (None, None, False), (7, "7", True), ("00", "00", True), (0.0, None, True)],
)
def test_unless_zero_takes_0_for_nobody(engine: Engine, value: Any, user_id: str | None, present: bool) -> None:
    row = read(engine, {"customer_id": value}, {"user_id": "$.customer_id unless_zero"})
    assert (row["user_id"], row["user_id_present"]) == (user_id, present)


def test_without_the_form_user_0_is_a_user(engine: Engine) -> None:
    assert read(engine, {"user_id": 0}, {})["user_id"] == "0"


def test_without_children_leaves_out_lines_that_belong_to_another_line(engine: Engine) -> None:
    lines = [
        {"item_id": 1, "sku": "shirt-red-s", "qty": 2, "price": 20},
        {"item_id": 2, "sku": "shirt-red-s", "qty": 2, "price": 0, "parent_item_id": 1},
        {"item_id": 3, "sku": "hat", "qty": 1, "price": 9, "parent_item_id": None},
    ]
    row = read(engine, {"items": lines}, {"items": "$.items without_children"})
    assert [(item["sku"], item["qty"]) for item in row["items"]] == [("shirt-red-s", 2), ("hat", 1)]
    assert len(read(engine, {"items": lines}, {})["items"]) == 3


FIELDS = {
    "order_id": "$.id",
    "user_id": "$.customer.id unless_zero",
    "amount": "$.total minor_units",
    "created_at": "$.created epoch_seconds",
    "updated_at": "$.updated epoch_millis",
    "items": "$.lines without_children",
    "items.price": "$.price stripe_minor_units",
}
MAPS = (
    FIELDS,
    FIELDS | {"amount": "$.total hundredths", "created_at": "$.created rfc2822", "items": "$.lines"},
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**13), 10**13),
    st.sampled_from(["", "0", "7", "-12", "1736942400", "x", "1.5", "Wed, 15 Jan 2025 12:00:00 +0000"]),
)
CURRENCIES = st.one_of(SCALARS, st.sampled_from(["eur", "JPY", "kwd", "CLF", "isk", "mga", "ſek"]))
LINES = st.lists(st.fixed_dictionaries({"sku": SCALARS, "price": SCALARS, "parent_item_id": SCALARS}), max_size=3)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "id": SCALARS,
        "customer": st.one_of(SCALARS, st.fixed_dictionaries({"id": SCALARS})),
        "total": SCALARS,
        "currency": CURRENCIES,
        "created": SCALARS,
        "updated": SCALARS,
        "lines": st.one_of(SCALARS, LINES),
    },
)


@given(RECORDS, st.sampled_from(MAPS))
def test_sql_and_the_exact_reader_map_a_record_alike(engine: Engine, record: dict, places: dict[str, str]) -> None:
    assert set(read(engine, record, places)) > {"amount", "currency", "created_at", "items"}
