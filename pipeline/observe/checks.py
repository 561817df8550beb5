"""The data checks of pipeline/engine/sql/checks over what a run has touched; each returns the rows that break it."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from pipeline.contract import (
    CURATED_STAGES,
    DIM_PRODUCT,
    DIM_USER,
    FACT_ORDER,
    FACT_ORDER_STAGE,
    NORMALIZED_STAGE,
    ORDER_ITEMS,
    ORDERS,
    Stage,
    Table,
)
from pipeline.engine.connection import Engine, check_names, sql
from pipeline.lake.files import Lake, partition
from pipeline.observe.counts import PartitionCounts

SHOWN_ROWS = 5
FIGURES = ("extracted", "normalized", "superseded_here", "kept", "superseded_elsewhere", "discarded")
COUNTED = pa.schema([("date", pa.string()), *((figure, pa.int64()) for figure in FIGURES)])
UNKNOWN = {"unknown_user": "orders", "unknown_sku": "lines"}


@dataclass(frozen=True)
class Breaches:
    """How many rows break a check, and the first of them; none where the lake is true."""

    rows: int
    first: list[str]


def run_checks(lake: Lake, engine: Engine, touched: list[PartitionCounts]) -> dict[str, Breaches]:
    """What each check finds, by its name, in the partitions that did not fail: those have errors of their own."""
    found = breaches(engine, _files(lake, touched), touched)
    return {
        name: Breaches(rows.num_rows, [str(row) for row in rows.slice(0, SHOWN_ROWS).to_pylist()])
        for name, rows in found.items()
    }


def breaches(
    engine: Engine, files: dict[str, list[str]], counted: list[PartitionCounts], only: Collection[str] = ()
) -> dict[str, pa.Table]:
    """The rows that break each check, or each of these, over files by the name that its SQL has for them.

    A check that needs files of which there are none is left out.
    """
    engine.bind(partition_counts=pa.Table.from_pylist([counts.totals() for counts in counted], COUNTED))
    if files["fact_order"]:
        engine.keep("checked_order", {"fact_order": files["fact_order"]})
    found = {}
    for name in only or check_names():
        named = _named(f"checks/{name}", files)
        if all(named.values()):
            found[name] = engine.query(f"checks/{name}", named)
    return found


def late_arriving(lake: Lake, engine: Engine, touched: list[PartitionCounts]) -> dict[str, int]:
    """How many orders and lines of what was touched name a user or sku that no dimension has, where there are both."""
    files = _files(lake, touched)
    dimensions = {table.name: [lake.path(f"curated/{table.file}")] for table in (DIM_USER, DIM_PRODUCT)}
    if not files["fact_order"] or not all(os.path.exists(paths[0]) for paths in dimensions.values()):
        return {}
    files |= dimensions
    return {name: engine.query(name, _named(name, files))[column][0].as_py() for name, column in UNKNOWN.items()}


def _named(name: str, files: dict[str, list[str]]) -> dict[str, list[str]]:
    """Of the files, those that sql/<name>.sql asks for: DuckDB refuses the others."""
    return {key: paths for key, paths in files.items() if re.search(rf"\${key}\b", sql(name))}


def _files(lake: Lake, touched: list[PartitionCounts]) -> dict[str, list[str]]:
    def of(table: Table, chosen: list[str]) -> list[str]:
        return [lake.path(partition(table.layer, date, table.file)) for date in chosen]

    def committed(date: str, *stages: Stage) -> bool:
        return all((lake.manifest(stage, date) or {}).get("id") is not None for stage in stages)

    stages = (NORMALIZED_STAGE, *CURATED_STAGES)
    dates = [counts.date for counts in touched if not counts.error and committed(counts.date, *stages)]
    elsewhere = sorted(set(lake.partitions("curated")).difference(dates))
    others = [date for date in elsewhere if lake.whole(lake.manifest(FACT_ORDER_STAGE, date))]
    return {
        "fact_order": of(FACT_ORDER, dates),
        "order_items": of(ORDER_ITEMS, dates),
        "orders": of(ORDERS, dates),
        # DuckDB reads no empty list of files; a partition beside itself shares no order with another date
        "other_fact_order": of(FACT_ORDER, others or dates[:1]),
    }
