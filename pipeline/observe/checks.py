"""Runs the data checks of pipeline/engine/sql/checks over partitions. Each check returns the rows that violate it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, UnsetType

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
)
from pipeline.engine import Engine, check_names
from pipeline.lake import Keys, Lake, may_hold
from pipeline.observe.counts import Count, PartitionCounts, totals

SHOWN_ROWS = 5
# the columns that say where a row is; a log line may hold their values, but not those of other columns
KEYS = ("order_id", "date", "dates", "filename")
FIGURES = ("extracted", "normalized", "superseded_here", "kept", "superseded_elsewhere", "excluded", "discarded")
COUNTED = pa.schema([("date", pa.string()), *((figure, pa.int64()) for figure in FIGURES)])
# the relations that the SQL of the checks reads
RELATIONS = {"fact_order": FACT_ORDER, "order_items": ORDER_ITEMS, "orders": ORDERS}
# a relation with the curated partitions that are not checked
OTHERS = "other_fact_order"
# the check that reads manifests only
OF_COUNTS = ("every_record_is_counted",)
UNKNOWN = {"unknown_user": "orders", "unknown_sku": "lines"}


class Breaches(msgspec.Struct, frozen=True):
    """How many rows violate a check, and the first of them; 0 rows if the check passes.

    `at` has the order_id, the date or the file of the first row; UNSET if the check passes.
    """

    rows: int
    first: list[str] = []
    at: str | UnsetType = UNSET

    @classmethod
    def of(cls, found: pa.Table) -> "Breaches":
        first = found.slice(0, SHOWN_ROWS).to_pylist()
        return cls(found.num_rows, [str(row) for row in first], _place(first[0]) if first else UNSET)


class LateArriving(msgspec.Struct, frozen=True):
    """How many orders have a user, and how many lines a sku, that no dimension has; UNSET if not counted."""

    unknown_user: Count = UNSET
    unknown_sku: Count = UNSET


def run_checks(lake: Lake, engine: Engine, touched: list[PartitionCounts]) -> dict[str, Breaches]:
    """The breaches of each check, by its name. Partitions that failed or are not whole are not checked."""
    dates = _dates(lake, touched)
    found = breaches(engine, lake, dates, [counts for counts in touched if counts.date in dates["fact_order"]])
    return {name: Breaches.of(rows) for name, rows in found.items()}


def _place(row: Mapping[str, Any]) -> str:
    """The values of KEYS in a row, such as `order_id=o_1 date=2025-01-15`."""
    texts = {key: row[key] if isinstance(row[key], list) else [row[key]] for key in KEYS if key in row}
    return " ".join(f"{key}={','.join(map(str, values))}" for key, values in texts.items())


def breaches(
    engine: Engine,
    lake: Lake,
    dates: Mapping[str, Sequence[str]],
    counted: list[PartitionCounts],
    only: Collection[str] = (),
) -> dict[str, pa.Table]:
    """The rows that violate each check, or each check of `only`, by its name. `dates` are the dates of each relation.

    Without dates of fact_order only the check of the counts runs.
    """
    for name, table in RELATIONS.items():
        engine.register_files(table, lake.paths(table, dates.get(name, ())), name)
    engine.keep("checked_order")
    engine.register_files(FACT_ORDER, lake.paths(FACT_ORDER, _sharing(lake, engine, dates.get(OTHERS, ()))), OTHERS)
    engine.bind(partition_counts=pa.Table.from_pylist([_figures(counts) for counts in counted], COUNTED))
    names = only or (check_names() if dates["fact_order"] else OF_COUNTS)
    return {name: engine.query(f"checks/{name}") for name in names}


def _sharing(lake: Lake, engine: Engine, dates: Sequence[str]) -> list[str]:
    """The dates, of these, that may hold an order of checked_order."""
    return may_hold(lake, FACT_ORDER_STAGE, dates, Keys.of(engine.query("checked_id")["order_id"])) if dates else []


def late_arriving(lake: Lake, engine: Engine, touched: list[PartitionCounts]) -> LateArriving:
    """Unknown users and skus in the touched partitions; all UNSET unless both dimensions exist.

    Call it after run_checks with the same engine, because it reads the relations that run_checks has registered.
    """
    dimensions = [table for table in (DIM_USER, DIM_PRODUCT) if lake.files.has(table.at())]
    if not _dates(lake, touched)["fact_order"] or len(dimensions) < len(UNKNOWN):
        return LateArriving()
    for table in dimensions:
        engine.register_files(table, [lake.files.fetch(table.at())])
    return LateArriving(**{name: engine.query(name)[column][0].as_py() for name, column in UNKNOWN.items()})


def _figures(counts: PartitionCounts) -> dict[str, object]:
    """A row of COUNTED."""
    found = totals([counts.summary])
    return {"date": counts.date} | {figure: getattr(found, figure) for figure in FIGURES}


def _dates(lake: Lake, touched: list[PartitionCounts]) -> dict[str, list[str]]:
    """The dates of each relation. A date whose upstream has changed is left out: another run is at work on it."""

    def is_there(date: str, stage: Stage) -> bool:
        manifest, upstream = lake.made(stage, date), lake.manifest(stage.upstream or stage, date)
        if manifest is None or manifest.id is None or (upstream is not None and manifest.made_from != upstream.id):
            return False
        return all(map(lake.files.has, stage.files_at(date)))

    stages = (NORMALIZED_STAGE, *CURATED_STAGES)
    sound = [counts.date for counts in touched if not counts.summary.error]
    dates = [date for date in sound if all(is_there(date, stage) for stage in stages)]
    elsewhere = sorted(set(lake.partitions("curated")).difference(dates))
    others = [date for date in elsewhere if lake.is_whole(FACT_ORDER_STAGE, date)]
    return {"fact_order": dates, "order_items": dates, "orders": dates, OTHERS: others}
