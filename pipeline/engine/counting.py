"""What a stage counts by date: law 1's figures, lines, currencies, and how the values of each field were taken."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ORDER_LEVEL = ("user_id", "amount", "currency", "updated_at")
LINE_LEVEL = ("sku", "qty", "price")

Counts = dict[str, dict[str, Any]]


def counts_by_date(
    dates: pa.Array, kept: pa.Table, items: pa.Table, superseded: pa.Table, discarded: pa.Table
) -> Counts:
    """The counts of NormalizedCounts by date; what is 0 is left out.

    `kept` and `items` are ordered by date. Values are counted of orders that are not excluded.
    """
    counts: Counts = {}

    def note(name: str, rows: pa.Array | pa.ChunkedArray) -> None:
        for row in rows.value_counts().to_pylist():
            counts.setdefault(str(row["values"]), {})[name] = row["counts"]

    note("extracted", dates)
    note("normalized", kept["date"])
    note("superseded_here", superseded["partition_date"])
    note("lines", items["date"])
    if pc.any(kept["excluded"]).as_py():
        note("excluded", kept.filter(kept["excluded"])["date"])
        kept, items = (rows.filter(pc.invert(rows["excluded"])) for rows in (kept, items))
    for row in kept.filter(pc.greater(kept["dropped_items"], 0)).select(["date", "dropped_items"]).to_pylist():
        of_date = counts[str(row["date"])]
        of_date["dropped_items"] = of_date.get("dropped_items", 0) + row["dropped_items"]
    for row in kept.group_by("date").aggregate([("currency", "distinct")]).to_pylist():
        counts[str(row["date"])]["currencies"] = sorted(c for c in row["currency_distinct"] if c is not None)
    for row in discarded.select(["date", "reason"]).to_pylist():
        reasons = counts[str(row["date"])].setdefault("discarded", {})
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    for rows, names in ((kept, ORDER_LEVEL), (items, LINE_LEVEL)):
        _count_values(counts, rows, names)
    return counts


def _count_values(counts: Counts, rows: pa.Table, names: tuple[str, ...]) -> None:
    """Add FieldCounts by date and field, where not all values were accepted."""
    days = rows["date"].cast(pa.int32()).to_numpy()
    starts = np.flatnonzero(np.append(True, days[1:] != days[:-1])) if len(days) else days
    for name in names:
        if not rows[name].null_count:
            continue
        is_null = rows[name].is_null().to_numpy()
        is_present = rows[f"{name}_present"].to_numpy()
        unreadable = is_null & is_present
        kinds = {"accepted": ~is_null, "absent": is_null & ~is_present, "unreadable": unreadable}
        by_kind = {kind: np.add.reduceat(found, starts, dtype=np.int64) for kind, found in kinds.items()}
        for group in np.flatnonzero(by_kind["absent"] + by_kind["unreadable"]):
            start = starts[group]
            of_field = {kind: int(numbers[group]) for kind, numbers in by_kind.items()}
            if of_field["unreadable"]:
                of_field["first"] = rows["order_id"][start + int(unreadable[start:].argmax())].as_py()
            counts[str(np.datetime64(int(days[start]), "D"))].setdefault("fields", {})[name] = of_field
