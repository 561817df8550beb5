"""Keeps the views of warehouse.db up to date with the lake. If they are, the file is not touched."""

import hashlib
import json
import os

from pipeline.contract import FACT_ORDER, ORDER_ITEMS, ORDERS
from pipeline.events import emit
from pipeline.lake import Lake
from pipeline.warehouse.database import execute_all, rebuilt, view_definitions

STATE = "curated/_warehouse.json"


def refresh_views(lake: Lake, warehouse: str) -> None:
    """Create the views, unless this file has them already. Call it under the lake's lock. Raises UnusableWarehouse."""
    definitions = view_definitions(str(lake.root), _present(lake))
    digest = _digest(definitions)
    if lake.files.read(STATE) == {"views": digest, "file": _identity(warehouse)}:
        return
    with rebuilt(warehouse) as connection:
        execute_all(connection, definitions)
    lake.files.write(STATE, {"views": digest, "file": _identity(warehouse)})
    emit("views_created", warehouse=warehouse)


def are_outdated(lake: Lake) -> bool:
    """Whether the views have to be created: they never were, or the lake's tables or the SQL have changed since."""
    definitions = view_definitions(str(lake.root), _present(lake))
    return (lake.files.read(STATE) or {}).get("views") != _digest(definitions)


def _digest(definitions: list[str]) -> str:
    return hashlib.sha256(json.dumps(definitions).encode()).hexdigest()


def _present(lake: Lake) -> set[str]:
    present = {"dim_user", "dim_product"}
    for table in (FACT_ORDER, ORDER_ITEMS, ORDERS):
        dates = lake.partitions(table.layer)
        if any(lake.files.has(table.at(date)) for date in dates):
            present.add(table.name)
    return present


def _identity(path: str) -> list[int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]
