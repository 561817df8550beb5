"""The data checks of pipeline/sql/checks over what a run has touched; each returns the rows that break it."""

import os
import re

import pyarrow as pa

from pipeline.contract import (
    DIM_PRODUCT,
    DIM_USER,
    FACT_ORDER,
    FACT_ORDER_STAGE,
    NORMALIZED_STAGE,
    ORDER_ITEMS,
    ORDERS,
    Table,
)
from pipeline.engine import Engine, check_names, sql
from pipeline.observe.counts import PartitionCounts
from pipeline.storage import Lake, partition

SHOWN_ROWS = 20
UNKNOWN = {"unknown_user": "orders", "unknown_sku": "lines"}


def run_checks(lake: Lake, engine: Engine, touched: list[PartitionCounts]) -> dict[str, list[str]]:
    """The first rows that break each check, by its name; empty lists where the lake is true."""
    files = _files(lake, [counts.date for counts in touched])
    engine.bind(partition_counts=pa.Table.from_pylist([counts.totals() for counts in touched]))
    engine.keep("checked_order", {"fact_order": files["fact_order"]})
    found = {}
    for name in check_names():
        rows = engine.query(f"checks/{name}", _named(f"checks/{name}", files))
        found[name] = [str(row) for row in rows.slice(0, SHOWN_ROWS).to_pylist()]
    return found


def late_arriving(lake: Lake, engine: Engine, touched: list[PartitionCounts]) -> dict[str, int]:
    """How many orders and lines of what was touched name a user or sku that the dimensions do not have; empty
    when there are no dimensions yet."""
    files = _files(lake, [counts.date for counts in touched])
    files |= {table.name: [lake.path(f"curated/{table.file}")] for table in (DIM_USER, DIM_PRODUCT)}
    if not all(os.path.exists(files[table.name][0]) for table in (DIM_USER, DIM_PRODUCT)):
        return {}
    return {name: engine.query(name, _named(name, files))[column][0].as_py() for name, column in UNKNOWN.items()}


def _named(name: str, files: dict[str, list[str]]) -> dict[str, list[str]]:
    """Of the files, those that sql/<name>.sql asks for: DuckDB refuses the others."""
    return {key: paths for key, paths in files.items() if re.search(rf"\${key}\b", sql(name))}


def _files(lake: Lake, dates: list[str]) -> dict[str, list[str]]:
    def of(table: Table, chosen: list[str]) -> list[str]:
        return [lake.path(partition(table.layer, date, table.file)) for date in chosen]

    whole = [date for date in lake.partitions("curated") if lake.whole(lake.manifest(FACT_ORDER_STAGE, date))]
    others = sorted(set(whole).difference(dates))
    return {
        "fact_order": of(FACT_ORDER, dates),
        "order_items": of(ORDER_ITEMS, dates),
        "orders": of(ORDERS, [date for date in dates if lake.whole(lake.manifest(NORMALIZED_STAGE, date))]),
        # DuckDB reads no empty list of files; a partition beside itself shares no order with another date
        "other_fact_order": of(FACT_ORDER, others or dates[:1]),
    }
