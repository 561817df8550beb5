"""Applies the contract to raw lines: typed, judged and deduplicated orders and items, and the discarded records."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.connection import Engine
from pipeline.engine.counting import Counts, counts_by_date, list_lengths
from pipeline.engine.lines import Lines, bind_lines
from pipeline.engine.rows import taken
from pipeline.fields import ITEM_FIELDS, FieldMap


@dataclass
class Normalized:
    """Rows of orders and items, sorted by date and key; the discarded records; the counts by date."""

    orders: pa.Table
    items: pa.Table
    discarded: pa.Table
    counts: Counts


def normalized(
    engine: Engine,
    lines: Lines,
    dates: pa.Array,
    answers_as_of: pa.Array,
    fields: FieldMap | None = None,
    *,
    known_plain: bool = False,
) -> Normalized:
    """Apply the contract to raw lines. The lines of one date are adjacent.

    `dates` has the date that each line was landed under; lines with a null date form one partition and may be of any
    date. `answers_as_of` has the moment by which each line is judged. See bind_lines for `fields` and `known_plain`.
    """
    record = _records(engine, lines, dates, answers_as_of, fields, known_plain=known_plain)
    stays = pc.is_null(record["reason"])
    day = pc.coalesce(record["partition_date"], pa.scalar(0, pa.date32()))
    version = record.select(["position", "order_id", "created_at", "updated_at"]).append_column("partition_date", day)
    engine.bind(version=version.filter(stays))
    engine.keep("superseded")
    kept = record.take(engine.query("kept")["position"])
    kept = kept.append_column("date", kept["created_at"].cast(pa.date32()))
    items = _items(kept)
    superseded = record.take(engine.query("superseded_here")["position"])
    discarded = record.filter(pc.invert(stays))
    counts = counts_by_date(dates, kept, items, superseded, discarded)
    return Normalized(kept, items, _discarded(discarded, lines, dates), counts)


def _records(
    engine: Engine,
    lines: Lines,
    dates: pa.Array,
    answers_as_of: pa.Array,
    fields: FieldMap | None,
    *,
    known_plain: bool,
) -> pa.Table:
    """The typed lines, in their order.

    An item without sku, qty and price may be something else than an object. Lines with such items are rewritten.
    """
    bound: dict[str, Any] = {"dates": dates, "answers_as_of": answers_as_of, "fields": fields}
    exactly: list[int] = []
    while True:
        bind_lines(engine, lines, exactly=exactly, known_plain=known_plain, **bound)
        record = engine.query("record")
        if exactly or not (exactly := _shapeless(record)):
            return record.take(pc.sort_indices(record["position"])) if pc.any(record["exact"]).as_py() else record


def _shapeless(record: pa.Table) -> list[int]:
    items = record["items"].combine_chunks()
    fields = items.flatten()
    present = [fields.field(f"{name}_present") for name in ITEM_FIELDS]
    bare = pc.invert(pc.or_(pc.or_(present[0], present[1]), present[2]))
    if not pc.any(bare).as_py():
        return []
    rows = pc.list_parent_indices(items).filter(bare).unique()
    return sorted(
        row["position"] for row in record.take(rows).select(["position", "exact"]).to_pylist() if not row["exact"]
    )


def _items(kept: pa.Table) -> pa.Table:
    """One row per order line, in the order of `kept`; line_number counts from 1 in array order."""
    lists = kept["items"].combine_chunks()
    order = pc.list_parent_indices(lists)
    size = list_lengths(lists).to_numpy()
    number = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size) + 1
    fields = lists.flatten()
    items = taken(kept.select(["order_id", "date", "excluded"]), order)
    items = items.append_column("line_number", pa.array(number, pa.int32()))
    for name in (*ITEM_FIELDS, *(f"{name}_present" for name in ITEM_FIELDS)):
        items = items.append_column(name, fields.field(name))
    return items


def _discarded(record: pa.Table, lines: Lines, dates: pa.Array) -> pa.Table:
    """The discarded records verbatim, with their position in the raw file of their date, from 0."""
    position = record["position"].to_numpy()
    day = dates.cast(pa.int32()).fill_null(0).to_numpy()
    starts = np.flatnonzero(np.diff(day, prepend=day[:1] - 1)) if len(day) else day
    start = starts[np.searchsorted(starts, position, side="right") - 1] if len(position) else position
    records = lines.array().take(record["position"]).cast(pa.binary())
    columns = {"position": position - start, "reason": record["reason"], "record": records}
    return pa.table(columns | {"date": record["partition_date"]})
