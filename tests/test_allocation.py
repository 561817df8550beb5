"""Allocation: the shares equal those of the reference to the digit, and they sum to the order's amount."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
import reference as ref
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.contract import MONEY
from pipeline.engine.allocation import shares

Line = tuple[int | None, Decimal | None]  # qty, price
Order = tuple[Decimal | None, list[Line]]

LARGEST = Decimal("99999999999999.9999")
MONEYS = st.decimals(-LARGEST, LARGEST, places=4, allow_nan=False, allow_infinity=False)
CENTS = st.integers(-300, 100_000).map(lambda cents: Decimal(cents).scaleb(-2).quantize(Decimal("0.0001")))
AMOUNTS = st.none() | CENTS | MONEYS | st.sampled_from([LARGEST, -LARGEST, Decimal("0.0000"), Decimal("0.0001")])
QUANTITIES = st.integers(-3, 5) | st.integers(-(10**9), 10**9) | st.sampled_from([None, 0, 10**9, -(10**9)])
PRICES = CENTS | MONEYS | st.sampled_from([None, Decimal("0.0000"), LARGEST, -LARGEST, Decimal("0.0001")])
ORDERS = st.tuples(AMOUNTS, st.lists(st.tuples(QUANTITIES, PRICES), min_size=1, max_size=7))


def allocated(orders: list[Order]) -> list[list[Decimal | None]]:
    """The pipeline's shares, order by order."""
    lines = [line for _, lines in orders for line in lines]
    got = shares(
        pa.array([amount for amount, _ in orders], MONEY),
        pa.array([qty for qty, _ in lines], pa.int64()),
        pa.array([price for _, price in lines], MONEY),
        np.array([len(lines) for _, lines in orders], np.int64),
    )
    assert got.type == MONEY
    got.validate(full=True)
    values = iter(got.to_pylist())
    return [[next(values) for _ in lines] for _, lines in orders]


def money(*texts: str) -> list[Decimal]:
    return [Decimal(text).quantize(Decimal("0.0001")) for text in texts]


@given(st.lists(ORDERS, max_size=8))
@example([(LARGEST, [(10**9, LARGEST), (-(10**9), LARGEST - Decimal("0.0001"))])])
@example([(LARGEST, [(10**9, LARGEST), (10**9, -LARGEST), (1, Decimal("0.0001"))])])
@example([(-LARGEST, [(10**9, LARGEST)] * 7)])
@example([(Decimal("0.0000"), [(1, Decimal("-1.0000")), (2, Decimal("1.0000"))])])
@settings(max_examples=300, deadline=None)
def test_the_shares_are_those_of_the_reference_and_add_up_exactly(orders):
    got = allocated(orders)
    assert got == [ref.allocate(amount, lines) for amount, lines in orders]
    for (amount, _), parts in zip(orders, got, strict=True):
        assert set(parts) == {None} if amount is None else sum(parts) == amount


@given(st.lists(ORDERS, min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_shares_of_an_order_do_not_depend_on_its_neighbours(orders):
    assert allocated(orders) == [allocated([order])[0] for order in orders]


@pytest.mark.parametrize(
    ("amount", "lines", "expected"),
    [
        ("30", [(1, "10"), (2, "10")], money("10", "20")),
        ("10", [(1, "1"), (1, "1"), (1, "1")], money("3.3333", "3.3334", "3.3333")),
        ("-10", [(1, "1"), (1, "1"), (1, "1")], money("-3.3333", "-3.3334", "-3.3333")),
        ("0.0001", [(1, "1"), (1, "1")], money("0.0001", "0")),
        ("10", [(1, "1"), (None, "1")], money("5", "5")),
        ("10", [(1, "9"), (1, None)], money("5", "5")),
        ("10", [(0, "9"), (0, "1")], money("5", "5")),
        ("10", [(1, "9"), (0, "1")], money("10", "0")),
        ("10", [(-1, "3"), (1, "5")], money("-15", "25")),
        ("10", [(-1, "5"), (1, "3")], money("5", "5")),
        ("0", [(1, "1"), (3, "1")], money("0", "0")),
        ("7", [(None, None)], money("7")),
    ],
)
def test_an_amount_is_shared_by_quantity_times_price_or_equally(amount, lines, expected):
    order = (money(amount)[0], [(qty, None if price is None else money(price)[0]) for qty, price in lines])
    assert allocated([order]) == [expected]


def test_an_order_whose_shares_would_not_fit_is_shared_equally():
    lines = [(10**9, LARGEST), (-(10**9), LARGEST - Decimal("0.0001"))]  # W is 10^9 ten-thousandths, weights 10^27
    assert allocated([(LARGEST, lines)]) == [money("50000000000000", "49999999999999.9999")]


def test_an_order_without_an_amount_has_null_shares():
    order = (None, [(1, Decimal("1.0000")), (2, Decimal("1.0000"))])
    assert allocated([order, (money("3")[0], [(1, Decimal("1.0000"))])]) == [[None, None], money("3")]


def test_no_orders_have_no_shares():
    assert allocated([]) == []


def test_ten_thousand_lines_of_one_order_add_up():
    lines = [(n % 7 - 1, Decimal(n % 13).quantize(Decimal("0.0001"))) for n in range(10_000)]
    got = allocated([(money("12345.6789")[0], lines)])[0]
    assert got == ref.allocate(money("12345.6789")[0], lines)
    assert sum(got) == Decimal("12345.6789")


def test_columns_that_are_slices_or_in_chunks_give_the_same_shares():
    price = pa.array(money("99", "1", "2", "3"), MONEY)
    chunked = pa.chunked_array([price.slice(1, 1), price.slice(2, 2)])
    qty = pa.chunked_array([pa.array([1, 1], pa.int64()), pa.array([1], pa.int64())])
    amount = pa.chunked_array([pa.array(money("5", "6"), MONEY).slice(1)])
    assert shares(amount, qty, chunked, np.array([3])).to_pylist() == money("1", "2", "3")
