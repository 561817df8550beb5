"""Unsound dates. A date is unsound if it was normalized or curated and its normalized partition is not whole.

Nobody knows which orders such a partition has, and in which version.
"""

import numpy as np
import pyarrow as pa

from pipeline.contract import FACT_ORDER, FACT_ORDER_STAGE, NORMALIZED_STAGE, ORDER_ITEMS, ORDERS, STAGES, UNDATED
from pipeline.engine import Engine, EngineError
from pipeline.errors import CorruptPartition
from pipeline.lake import Lake
from pipeline.sources.vanished import made_order_ids


def unsound(lake: Lake) -> list[str]:
    """The unsound dates of the lake, sorted."""
    dates = {*lake.partitions("normalized"), *lake.partitions("curated")} - {UNDATED}
    return [date for date in sorted(dates) if not lake.is_whole(NORMALIZED_STAGE, date) and _is_known(lake, date)]


def _is_known(lake: Lake, date: str) -> bool:
    """Whether the date has a manifest or a file of normalized or curated, not only empty folders."""
    names = [name for stage in STAGES[1:] for name in (stage.manifest_at(date), *stage.files_at(date))]
    return any(map(lake.files.has, names))


def held_back(lake: Lake, engine: Engine, dates: list[str], unsound_dates: list[str]) -> dict[str, CorruptPartition]:
    """The dates that must not be curated, with the error of each. `unsound_dates` are those of the whole lake.

    An unsound date is held back. A date is held back if one of its orders is in the curated files of an unsound date.
    A date is held back if it is a neighbour of an unsound date whose fact_order manifest counts excluded orders.
    Raises EngineError if a normalized file of the dates cannot be read.
    """
    if not unsound_dates:
        return {}
    found = {date: _not_whole_error(date) for date in dates if date in unsound_dates}
    whole = [date for date in dates if date not in unsound_dates]
    engine.register_files(ORDERS, lake.paths(ORDERS, whole))
    found |= {date: _excluding_error(date, other) for date in whole for other in _excluding(lake, date, unsound_dates)}
    shared = _shared(lake, engine, unsound_dates, "shared_with_unsound") if whole else []
    for date, other, orders in shared:
        found[date] = CorruptPartition(
            f"normalized/date={other}: not whole, and {orders:,} order(s) are in curated/date={other} and in "
            f"date={date}; date={date} was not written, since these orders could end up in both; {_mend(other)}"
        )
    return found


def _excluding(lake: Lake, date: str, unsound_dates: list[str]) -> list[str]:
    """The unsound neighbours of a date that have excluded orders. No curated file shows these orders."""
    normalized = lake.normalized(date)
    neighbours = set(unsound_dates).intersection(normalized.neighbours if normalized is not None else ())
    manifests = {other: lake.curated(FACT_ORDER_STAGE, other) for other in sorted(neighbours)}
    return [other for other, manifest in manifests.items() if manifest is not None and manifest.counts.excluded]


def _excluding_error(date: str, other: str) -> CorruptPartition:
    return CorruptPartition(
        f"normalized/date={other}: not whole; date={other} has excluded orders, which may be later versions of orders "
        f"of date={date}; date={date} was not written; {_mend(other)}"
    )


def doubled(lake: Lake, engine: Engine, unsound_dates: list[str]) -> dict[str, CorruptPartition]:
    """The dates whose curated orders are also in the curated files of an unsound date, with the error of each.

    Returns nothing if a file cannot be read: the data checks find such files.
    """
    if not unsound_dates:
        return {}
    dates = [date for date in lake.partitions("curated") if date not in unsound_dates]
    whole = [date for date in dates if lake.is_whole(FACT_ORDER_STAGE, date)]
    try:
        engine.register_files(FACT_ORDER, lake.paths(FACT_ORDER, whole))
        shared = _shared(lake, engine, unsound_dates, "curated_with_unsound") if whole else []
    except EngineError:
        return {}
    return {
        date: CorruptPartition(
            f"curated/date={date} and curated/date={other} both hold {orders:,} order(s), and normalized/date={other} "
            f"is not whole; {_mend(other)}"
        )
        for date, other, orders in shared
    }


def _shared(lake: Lake, engine: Engine, unsound_dates: list[str], query: str) -> list[tuple[str, str, int]]:
    """The rows of a query over the orders in the curated files of unsound dates: date, unsound date, shared orders."""
    of_unsound = {date: ids for date in unsound_dates if (ids := _curated_order_ids(lake, engine, date))}
    if not of_unsound:
        return []
    days = np.repeat(np.array(list(of_unsound), "datetime64[D]"), [len(ids) for ids in of_unsound.values()])
    engine.bind(of_unsound=pa.table({"order_id": [id_ for ids in of_unsound.values() for id_ in ids], "date": days}))
    return [(str(row["date"]), str(row["other"]), row["orders"]) for row in engine.query(query).to_pylist()]


def _curated_order_ids(lake: Lake, engine: Engine, date: str) -> list[str]:
    """The distinct order_ids in the curated files of a date, sorted. Unreadable files are skipped."""
    made = [made_order_ids(lake, engine, table, date) for table in (FACT_ORDER, ORDER_ITEMS)]
    return sorted(set().union(*made))


def _not_whole_error(date: str) -> CorruptPartition:
    return CorruptPartition(f"{NORMALIZED_STAGE.manifest_at(date)}: not whole; {_mend(date)}")


def _mend(date: str) -> str:
    return f"run `luigi --module pipeline NormalizeOrders --date {date} --local-scheduler`, then run again"
