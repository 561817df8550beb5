"""Unsound dates, whose normalized partition is not whole: nobody knows which orders it has, and in which version."""

import numpy as np
import pyarrow as pa

from pipeline.contract import FACT_ORDER, FACT_ORDER_STAGE, NORMALIZED_STAGE, ORDER_ITEMS, ORDERS, STAGES, UNDATED
from pipeline.engine import Engine, EngineError
from pipeline.errors import CorruptPartition
from pipeline.lake import Lake
from pipeline.sources.vanished import made_order_ids


def unsound(lake: Lake) -> list[str]:
    """The dates that were normalized or curated, but whose normalized partition is not whole."""
    dates = {*lake.partitions("normalized"), *lake.partitions("curated")} - {UNDATED}
    return [date for date in sorted(dates) if not lake.is_whole(NORMALIZED_STAGE, date) and _is_known(lake, date)]


def _is_known(lake: Lake, date: str) -> bool:
    """Whether the date has a manifest or a file, and not only an empty folder."""
    names = [name for stage in STAGES[1:] for name in (stage.manifest_at(date), *stage.files_at(date))]
    return any(map(lake.files.has, names))


def held_back(lake: Lake, engine: Engine, dates: list[str], broken: list[str]) -> dict[str, CorruptPartition]:
    """The dates that must not be curated, with the error of each. `broken` are the unsound dates of the lake.

    A date is held back if it is unsound, or if it may share an order with an unsound date. The curated files of the
    unsound date say which orders it shares. Its manifest says whether it excludes orders. Raises EngineError if a
    normalized file of the dates cannot be read.
    """
    if not broken:
        return {}
    found = {date: _not_whole(date) for date in dates if date in broken}
    whole = [date for date in dates if date not in broken]
    engine.register_files(ORDERS, lake.paths(ORDERS, whole))
    found |= {date: _may_be_excluded(date, other) for date in whole for other in _excluding(lake, date, broken)}
    shared = _shared(lake, engine, broken, "shared_with_held") if whole else []
    for date, other, orders in shared:
        found[date] = CorruptPartition(
            f"normalized/date={other}: not whole, and {orders:,} order(s) are in curated/date={other} and in "
            f"date={date}; date={date} was not written, since these orders could end up in both; {_first(other)}"
        )
    return found


def _excluding(lake: Lake, date: str, broken: list[str]) -> list[str]:
    """The broken dates that share orders with a date and have excluded orders, which no curated file shows."""
    normalized = lake.normalized(date)
    shared = set(broken).intersection(normalized.neighbours if normalized is not None else ())
    manifests = {other: lake.curated(FACT_ORDER_STAGE, other) for other in sorted(shared)}
    return [other for other, manifest in manifests.items() if manifest is not None and manifest.counts.excluded]


def _may_be_excluded(date: str, other: str) -> CorruptPartition:
    return CorruptPartition(
        f"normalized/date={other}: not whole, and it may exclude orders of date={date}; date={date} was not written; "
        f"{_first(other)}"
    )


def doubled(lake: Lake, engine: Engine, broken: list[str]) -> dict[str, CorruptPartition]:
    """The dates whose curated orders are also in the curated files of a `broken` date, with the error of each.

    Returns nothing if a file cannot be read: the data checks find such files.
    """
    if not broken:
        return {}
    dates = [date for date in lake.partitions("curated") if date not in broken]
    whole = [date for date in dates if lake.is_whole(FACT_ORDER_STAGE, date)]
    try:
        engine.register_files(FACT_ORDER, lake.paths(FACT_ORDER, whole))
        shared = _shared(lake, engine, broken, "curated_with_held") if whole else []
    except EngineError:
        return {}
    return {
        date: CorruptPartition(
            f"curated/date={date} and curated/date={other} both hold {orders:,} order(s), and normalized/date={other} "
            f"is not whole; {_first(other)}"
        )
        for date, other, orders in shared
    }


def _shared(lake: Lake, engine: Engine, broken: list[str], query: str) -> list[tuple[str, str, int]]:
    """The rows of a query over the orders in the curated files of broken dates: date, broken date, shared orders."""
    held = {date: ids for date in broken if (ids := _curated_order_ids(lake, engine, date))}
    if not held:
        return []
    days = np.repeat(np.array(list(held), "datetime64[D]"), [len(ids) for ids in held.values()])
    engine.bind(held=pa.table({"order_id": [id_ for ids in held.values() for id_ in ids], "date": days}))
    return [(str(row["date"]), str(row["other"]), row["orders"]) for row in engine.query(query).to_pylist()]


def _curated_order_ids(lake: Lake, engine: Engine, date: str) -> list[str]:
    """The distinct order_ids in the curated files of a date, sorted. Unreadable files are skipped."""
    made = [made_order_ids(lake, engine, table, date) for table in (FACT_ORDER, ORDER_ITEMS)]
    return sorted(set().union(*made))


def _not_whole(date: str) -> CorruptPartition:
    return CorruptPartition(f"{NORMALIZED_STAGE.manifest_at(date)}: not whole; {_first(date)}")


def _first(date: str) -> str:
    return f"run `luigi --module pipeline NormalizeOrders --date {date}` first"
