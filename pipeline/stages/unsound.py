"""Partitions whose normalized files are not whole: their orders may have moved, and nobody can see where to."""

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
    """Whether anything of the date is there, and not only an empty folder."""
    names = [name for stage in STAGES[1:] for name in (stage.manifest_at(date), *stage.files_at(date))]
    return any(map(lake.files.has, names))


def held_back(lake: Lake, engine: Engine, dates: list[str], broken: list[str]) -> dict[str, CorruptPartition]:
    """Of the dates to curate, those that cannot be, and why. `broken` are the unsound ones.

    A date may share an order with a partition that is not whole: nobody knows which version that one holds. Its curated
    files say which orders readers find in it, and its manifest whether it excludes any. Raises EngineError when a
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
            f"date={date}, so they could end up in both; {_first(other)}"
        )
    return found


def _excluding(lake: Lake, date: str, broken: list[str]) -> list[str]:
    """The broken partitions that share orders with a date and left excluded orders out of their curated files."""
    normalized = lake.normalized(date)
    shared = set(broken).intersection(normalized.neighbours if normalized is not None else ())
    manifests = {other: lake.curated(FACT_ORDER_STAGE, other) for other in sorted(shared)}
    return [other for other, manifest in manifests.items() if manifest is not None and manifest.counts.excluded]


def _may_be_excluded(date: str, other: str) -> CorruptPartition:
    return CorruptPartition(
        f"normalized/date={other}: not whole, and orders of date={date} may be excluded by it; {_first(other)}"
    )


def doubled(lake: Lake, engine: Engine, broken: list[str]) -> dict[str, CorruptPartition]:
    """The dates whose curated orders are also in the curated files of a `broken` partition, which is not whole.

    Partitions whose files cannot be read are left out: the data checks find these.
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
    """The rows of a query over what the curated files of broken partitions hold: a date, such a partition, orders."""
    held = {date: ids for date in broken if (ids := _curated_order_ids(lake, engine, date))}
    if not held:
        return []
    days = np.repeat(np.array(list(held), "datetime64[D]"), [len(ids) for ids in held.values()])
    engine.bind(held=pa.table({"order_id": [id_ for ids in held.values() for id_ in ids], "date": days}))
    return [(str(row["date"]), str(row["other"]), row["orders"]) for row in engine.query(query).to_pylist()]


def _curated_order_ids(lake: Lake, engine: Engine, date: str) -> list[str]:
    """The orders that readers find in a date's curated files, as far as these can be read."""
    made = [made_order_ids(lake, engine, table, date) for table in (FACT_ORDER, ORDER_ITEMS)]
    return sorted(set().union(*made))


def _not_whole(date: str) -> CorruptPartition:
    return CorruptPartition(f"{NORMALIZED_STAGE.manifest_at(date)}: not whole; {_first(date)}")


def _first(date: str) -> str:
    return f"run `luigi --module pipeline NormalizeOrders --date {date}` first"
