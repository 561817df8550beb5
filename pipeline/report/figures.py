"""The sums that the report makes from Parquet files. It reads only dates that have changed since the last report."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pipeline.contract import DIM_PRODUCT, DIM_USER, DIMENSIONS_MANIFEST, FACT_ORDER, ORDERS
from pipeline.engine import Engine, EngineError, OpenEngine
from pipeline.lake import Lake
from pipeline.report.partitions import Partition

# four weeks: if no date is absent, each weekday has the same weight
NEWEST_DATES = 28
# names in a ranking; all other names share one row
NAMED = 12
# bounds the memory of the first report of a large lake
DATES_PER_QUERY = 100

Rows = list[dict[str, Any]]
Cache = dict[str, Any]


@dataclass(frozen=True)
class Figures:
    """`by_date` has the rows of date_figures.sql, or None for an unreadable date; `sales` has the rows of sales.sql.

    `sales_dates` are the newest dates. `sales` has the sales of those newest dates whose files can be read.
    """

    by_date: dict[str, Rows | None]
    sales: Rows
    sales_dates: list[str]


def figures(lake: Lake, dates: list[Partition], cache: Cache, open_engine: OpenEngine) -> tuple[Figures, Cache]:
    """Returns the figures of every whole date, and the cache for the next report.

    The cache is the content of curated/_report.json. It has the figures of each date with the id of the date, so only
    changed dates are read. Amounts are decimal text. Each row has the amount of one currency.
    """
    whole = {part.date: part.id for part in dates if part.id is not None}
    known = {date: entry for date, entry in cache.get("dates", {}).items() if entry["id"] == whole.get(date)}
    newest = sorted(whole)[-NEWEST_DATES:]
    sales_id = _digest([whole[date] for date in newest], lake.files.read(DIMENSIONS_MANIFEST))
    due = sorted(whole.keys() - known.keys())
    sales = cache.get("sales", {})
    if due or sales.get("id") != sales_id:
        with open_engine() as engine:
            known |= {date: {"id": whole[date], "rows": rows} for date, rows in _of_dates(lake, engine, due).items()}
            readable = [date for date in newest if known[date]["rows"] is not None]
            sales = {"id": sales_id, "rows": _sales(lake, engine, readable)}
    found = Figures({date: known[date]["rows"] for date in sorted(known)}, sales["rows"], newest)
    return found, {"dates": known, "sales": sales}


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _of_dates(lake: Lake, engine: Engine, dates: list[str]) -> dict[str, Rows | None]:
    found: dict[str, Rows | None] = {}
    for start in range(0, len(dates), DATES_PER_QUERY):
        found |= _date_figures(lake, engine, dates[start : start + DATES_PER_QUERY])
    return found


def _date_figures(lake: Lake, engine: Engine, dates: list[str]) -> dict[str, Rows | None]:
    """The rows of date_figures.sql by date. A date with an unreadable file is None; it is found by halving."""
    try:
        _register(lake, engine, dates)
        rows = engine.query("report/date_figures").to_pylist()
    except EngineError:
        if len(dates) == 1:
            return {dates[0]: None}
        half = len(dates) // 2
        return _date_figures(lake, engine, dates[:half]) | _date_figures(lake, engine, dates[half:])
    found: dict[str, Rows] = {date: [] for date in dates}
    for row in rows:
        found[row.pop("date")].append(row)
    return dict(found)


def _sales(lake: Lake, engine: Engine, dates: list[str]) -> Rows:
    if not dates:
        return []
    _register(lake, engine, dates)
    for table in (DIM_USER, DIM_PRODUCT):
        name = f"{table.layer}/{table.file}"
        # a dimension that does not exist yet has no rows
        engine.register_files(table, [lake.files.fetch(name)] if lake.files.has(name) else [])
    engine.keep("report/sold_line")
    rows: Rows = engine.query("report/sales", {"named": NAMED}).to_pylist()
    return rows


def _register(lake: Lake, engine: Engine, dates: list[str]) -> None:
    for table in (ORDERS, FACT_ORDER):
        engine.register_files(table, lake.paths(table, dates))
