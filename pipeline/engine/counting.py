"""Counts normalized partitions: the figures of law 1, lines, currencies, and how each field's values were read."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.fields import ITEM_FIELDS

ORDER_LEVEL = ("user_id", "amount", "currency", "updated_at")
# a record without an accepted value of these fields is discarded; each reason with the figure of FieldCounts it adds to
REQUIRED = {
    "order_id": {"missing_order_id": "absent"},
    "created_at": {
        "missing_created_at": "absent",
        "invalid_created_at": "unreadable",
        "future_created_at": "unreadable",
        "outside_window": "unreadable",
    },
}

Counts = dict[str, dict[str, Any]]


def counts_by_date(
    dates: pa.Array, kept: pa.Table, items: pa.Table, superseded: pa.Table, discarded: pa.Table
) -> Counts:
    """NormalizedCounts by date. Field values are counted only for orders that are not excluded.

    `kept` and `items` are sorted by date; `discarded` has rows of record.sql.
    """
    counts: Counts = {}

    def note(name: str, rows: pa.Array | pa.ChunkedArray) -> None:
        for row in rows.value_counts().to_pylist():
            counts.setdefault(str(row["values"]), {})[name] = row["counts"]

    note("extracted", dates)
    note("normalized", kept["date"])
    note("superseded_here", superseded["partition_date"])
    note("lines", items["date"])
    for of_date in counts.values():
        of_date["fields"] = {}
    if pc.any(kept["excluded"]).as_py():
        note("excluded_here", kept.filter(kept["excluded"])["date"])
        note("excluded_lines", items.filter(items["excluded"])["date"])
        kept, items = (rows.filter(pc.invert(rows["excluded"])) for rows in (kept, items))
    for row in kept.filter(pc.greater(kept["dropped_items"], 0)).select(["date", "dropped_items"]).to_pylist():
        of_date = counts[str(row["date"])]
        of_date["dropped_items"] = of_date.get("dropped_items", 0) + row["dropped_items"]
    for row in kept.group_by("date").aggregate([("currency", "distinct")]).to_pylist():
        counts[str(row["date"])]["currencies"] = sorted(c for c in row["currency_distinct"] if c is not None)
    for name in ORDER_LEVEL:
        _count_values(counts, name, kept, pc.is_valid(kept[name]), kept[f"{name}_present"])
    _count_values(counts, "items", kept, has_lines := pc.greater(list_lengths(kept["items"]), 0), has_lines)
    for name in ITEM_FIELDS:
        _count_values(counts, name, items, pc.is_valid(items[name]), items[f"{name}_present"])
    _count_discarded(counts, discarded)
    return counts


def list_lengths(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """The length of each list; 0 for null."""
    return pc.fill_null(pc.list_value_length(lists), 0)


def _count_values(counts: Counts, name: str, rows: pa.Table, is_accepted: Any, is_present: Any) -> None:
    """Add the FieldCounts of one field for each date with a value that is not accepted. `rows` are sorted by date."""
    days = rows["date"].cast(pa.int32()).to_numpy()
    if not len(days):
        return
    starts = np.flatnonzero(np.append(True, days[1:] != days[:-1]))
    accepted, present = is_accepted.to_numpy(), is_present.to_numpy()
    unreadable = present & ~accepted
    kinds = {"accepted": accepted, "absent": ~present, "unreadable": unreadable}
    by_kind = {kind: np.add.reduceat(found, starts, dtype=np.int64) for kind, found in kinds.items()}
    for group in np.flatnonzero(by_kind["absent"] + by_kind["unreadable"]):
        start = starts[group]
        of_field = {kind: int(numbers[group]) for kind, numbers in by_kind.items() if numbers[group]}
        if "unreadable" in of_field:
            of_field["first"] = rows["order_id"][start + int(unreadable[start:].argmax())].as_py()
        counts[str(np.datetime64(int(days[start]), "D"))]["fields"][name] = of_field


def _count_discarded(counts: Counts, discarded: pa.Table) -> None:
    """Add the discarded records by date and reason, and the FieldCounts of the REQUIRED fields."""
    names = ["partition_date", "reason", "order_id", "order_id_present"]
    fields: dict[tuple[str, str], Counter[str]] = {}
    firsts: dict[tuple[str, str], str] = {}
    for row in discarded.select(names).to_pylist():
        date, reason = str(row["partition_date"]), row["reason"]
        counts[date].setdefault("discarded", Counter())[reason] += 1
        for name, kinds in REQUIRED.items():
            kind = "unreadable" if name == "order_id" and row["order_id_present"] else kinds.get(reason, "")
            if reason in kinds:
                fields.setdefault((date, name), Counter())[kind] += 1
            if reason in kinds and kind == "unreadable" and row["order_id"]:
                firsts.setdefault((date, name), row["order_id"])
    for date, of_date in counts.items():
        of_date["discarded"] = dict(of_date.get("discarded", {}))
        acceptable = of_date.get("normalized", 0) + of_date.get("superseded_here", 0)
        late = sum(count for reason, count in of_date["discarded"].items() if reason in REQUIRED["created_at"])
        for name, accepted in (("order_id", acceptable + late), ("created_at", acceptable)):
            if (date, name) in fields:
                of_field: dict[str, Any] = {"accepted": accepted} | fields[date, name]
                if (date, name) in firsts:
                    of_field["first"] = firsts[date, name]
                of_date["fields"][name] = of_field
