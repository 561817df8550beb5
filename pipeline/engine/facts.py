"""Builds the rows of fact_order: orders expanded to their lines, with the amounts allocated; and sums the amounts."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.allocation import shares
from pipeline.engine.rows import taken
from pipeline.errors import CorruptPartition


def fact_order(headers: pa.Table, lines: pa.Table) -> pa.Table:
    """The rows of fact_order: one per order line; one for an order without lines.

    `headers` and `lines` have the order_ids in the same sequence, and no order_id on two dates.
    Raises CorruptPartition if a line belongs to no order.
    """
    ids = lines["order_id"].combine_chunks()
    starts = np.flatnonzero(np.append(True, pc.not_equal(ids[1:], ids[:-1]))) if len(ids) else np.zeros(0, np.int64)
    ordered = ids.take(pa.array(starts))
    known = headers["order_id"].combine_chunks()
    # usually each order has lines
    has_lines = np.ones(len(known), bool)
    if not known.equals(ordered):
        has_lines = np.asarray(pc.is_in(known, value_set=ordered))
        if not known.filter(pa.array(has_lines)).equals(ordered):
            raise CorruptPartition(
                "normalized items.parquet: its order_ids do not match orders.parquet; "
                "expected the same order_ids in the same sequence; delete the file and run again to rebuild it"
            )
    size = np.ones(len(has_lines), np.int64)
    size[has_lines] = np.diff(starts, append=len(ids))
    order = pa.array(np.repeat(np.arange(len(size)), size))
    line = _line_of(has_lines, size)
    expanded = taken(headers.select(["order_id", "user_id", "created_at", "date"]), order)
    detail = taken(lines.select(["sku", "qty", "price"]), line)
    amount = shares(headers["amount"], detail["qty"], detail["price"], size)
    for name in ("sku", "qty", "price"):
        expanded = expanded.append_column(name, detail[name])
    return expanded.append_column("amount", amount)


def amounts_by_date(headers: pa.Table) -> dict[str, dict[str, str]]:
    """The sums of the orders' amounts by date and currency, as text with 4 decimals; "" stands for no currency.

    An order without an amount does not count.
    """
    currency = pc.fill_null(headers["currency"], "")
    counted = headers.select(["date", "amount"]).append_column("currency", currency).group_by(["date", "currency"])
    sums: dict[str, dict[str, str]] = {}
    for row in counted.aggregate([("amount", "sum")]).to_pylist():
        if row["amount_sum"] is not None:
            sums.setdefault(str(row["date"]), {})[row["currency"]] = str(row["amount_sum"])
    return sums


def _line_of(has_lines: np.ndarray, size: np.ndarray) -> pa.Array:
    """The index of the line for each row of fact_order; null for an order without lines."""
    real = np.repeat(has_lines, size)
    index = np.cumsum(real) - 1
    return pa.array(index, mask=~real)
