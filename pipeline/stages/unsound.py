"""Partitions whose normalized files are not whole: their orders may have moved, and nobody can see where to."""

import numpy as np
import pyarrow as pa

from pipeline.contract import FACT_ORDER, NORMALIZED_STAGE, ORDER_ITEMS, ORDERS, UNDATED
from pipeline.engine.connection import Engine
from pipeline.errors import CorruptPartition
from pipeline.lake.files import Lake, partition
from pipeline.sources.raw import made_order_ids


def unsound(lake: Lake) -> list[str]:
    """The dates that are normalized or curated, but whose normalized partition is not whole."""
    dates = {*lake.partitions("normalized"), *lake.partitions("curated")} - {UNDATED}
    return [date for date in sorted(dates) if not lake.whole(lake.manifest(NORMALIZED_STAGE, date))]


def held_back(lake: Lake, engine: Engine, dates: list[str]) -> dict[str, CorruptPartition]:
    """Of the dates to curate, those that cannot be, and why.

    A partition that is not whole is represented by its curated files: readers find the orders that are there, so a date
    that has one of them would make a second place for it. Raises EngineError for a normalized file of the dates that
    cannot be read.
    """
    broken = unsound(lake)
    found = {date: _not_whole(date) for date in dates if date in broken}
    held = {date: ids for date in broken if (ids := _curated_order_ids(lake, engine, date))}
    whole = [date for date in dates if date not in broken]
    if not held or not whole:
        return found
    days = np.repeat(np.array(list(held), "datetime64[D]"), [len(ids) for ids in held.values()])
    engine.bind(held=pa.table({"order_id": [id_ for ids in held.values() for id_ in ids], "date": days}))
    engine.register_files(ORDERS, lake.table_paths(ORDERS, whole))
    for row in engine.query("shared_with_held").to_pylist():
        date, other = str(row["date"]), str(row["other"])
        cause = f"normalized/date={other}: not whole, and curated/date={other} holds {row['orders']:,} order(s)"
        found[date] = CorruptPartition(f"{cause} that date={date} holds as well; {_first(other)}")
    return found


def _curated_order_ids(lake: Lake, engine: Engine, date: str) -> list[str]:
    """The orders that readers find in a date's curated files, as far as these can be read."""
    made = [made_order_ids(lake, engine, table, date) for table in (FACT_ORDER, ORDER_ITEMS)]
    return sorted(set().union(*made))


def _not_whole(date: str) -> CorruptPartition:
    return CorruptPartition(f"{partition('normalized', date, NORMALIZED_STAGE.manifest)}: not whole; {_first(date)}")


def _first(date: str) -> str:
    return f"run `luigi --module pipeline NormalizeOrders --date {date}` first"
