"""Kimball's header-to-line allocation: divides an order's amount over its lines. The shares sum to the amount.

The weight of a line is qty × price if every line of the order has both and these products sum to more than 0.
Otherwise all weights are 1. W is the sum of the weights; Cᵢ is the exact running sum, in ten-thousandths.
Aᵢ = floor(amount × (Cᵢ / W) × 10⁴ + ½), computed in doubles; the last Aₙ is the amount itself.
The share of line i is Aᵢ − Aᵢ₋₁ ten-thousandths. If a share of an order does not fit DECIMAL(18,4), its weights are 1.
"""

from itertools import accumulate

import numpy as np
import pyarrow as pa

from pipeline.contract import MONEY

UNITS = 10_000.0
# DECIMAL(18,4) has 18 digits
LARGEST_SHARE = 10**18 - 1
# well below int64's limit of 9.2e18, as the sums that are compared with it are rounded doubles
SAFE_SUM = 4e18


def shares(amount: pa.Array, qty: pa.Array, price: pa.Array, size: np.ndarray) -> pa.Array:
    """The share of each line, as MONEY; null if the order's amount is null.

    `amount` has one value per order; `qty` and `price` have one value per line. The lines of an order are adjacent.
    Order i has size[i] ≥ 1 lines.
    """
    total = money_units(amount)
    first = np.cumsum(size) - size
    order = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(order)) - first[order]
    equal = (place + 1) / size[order]
    result, fits = _allocate(total, _weighted(qty, price, first, order, equal), first, order)
    if not fits.all():
        result = np.where(fits[order], result, _allocate(total, equal, first, order)[0])
    return units_money(result, np.asarray(amount.is_null())[order])


def _weighted(qty: pa.Array, price: pa.Array, first: np.ndarray, order: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Cᵢ / W of every line; the values of `equal` for an order whose weights are all 1."""
    if not len(order):
        return equal
    known = np.asarray(qty.is_valid()) & np.asarray(price.is_valid())
    pieces, units = qty.fill_null(0).to_numpy(), money_units(price)
    weight = pieces * units
    running = np.cumsum(weight)
    running -= (running - weight)[first][order]
    sums = np.add.reduceat(weight, first)
    weighable = np.logical_and.reduceat(known, first)
    magnitude = np.add.reduceat(np.abs(pieces.astype(float) * units.astype(float)), first)
    large = weighable & (magnitude >= SAFE_SUM)
    plain = weighable & ~large & (sums > 0)
    ratio = np.where(plain[order], running / np.where(plain, sums, 1)[order], equal)
    for index in np.flatnonzero(large):
        lines = np.flatnonzero(order == index)
        exact = list(accumulate(int(q) * int(p) for q, p in zip(pieces[lines], units[lines], strict=True)))
        if exact[-1] > 0:
            ratio[lines] = [float(part) / float(exact[-1]) for part in exact]
    return ratio


def _allocate(
    total: np.ndarray, ratio: np.ndarray, first: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The share of each line in ten-thousandths; and for each order, whether all its shares fit MONEY."""
    if not len(order):
        return np.zeros(0, np.int64), np.ones(0, bool)
    reached = np.floor((total / UNITS)[order] * ratio * UNITS + 0.5)
    near = np.abs(reached) < SAFE_SUM
    upto = np.where(near, reached, 0).astype(np.int64)
    last = np.append(first[1:], len(order)) - 1
    upto[last] = total
    share = np.diff(upto, prepend=0)
    share[first] = upto[first]
    return share, np.logical_and.reduceat(near & (np.abs(share) <= LARGEST_SHARE), first)


def money_units(money: pa.Array) -> np.ndarray:
    """DECIMAL(18,4) values as integer ten-thousandths; 0 for null."""
    array = money.combine_chunks() if isinstance(money, pa.ChunkedArray) else money
    words = np.frombuffer(array.buffers()[1], np.int64)[::2] if len(array) else np.zeros(0, np.int64)
    units = words[array.offset : array.offset + len(array)]
    return np.where(np.asarray(array.is_valid()), units, 0)


def units_money(units: np.ndarray, absent: np.ndarray) -> pa.Array:
    """Integer ten-thousandths as DECIMAL(18,4); null where absent."""
    words = np.empty((len(units), 2), np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    valid = pa.py_buffer(np.packbits(~absent, bitorder="little"))
    return pa.Array.from_buffers(MONEY, len(units), [valid, pa.py_buffer(words)])
