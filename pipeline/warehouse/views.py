"""Keeps the views of warehouse.db up to date with the lake. If they are, the file is not touched."""

import hashlib
import json
import os

from pipeline.contract import FACT_ORDER, ORDER_ITEMS, ORDERS
from pipeline.engine import EngineError
from pipeline.errors import CorruptPartition
from pipeline.events import emit
from pipeline.lake import Lake
from pipeline.warehouse.database import execute_all, rebuilt, view_definitions

STATE = "curated/_warehouse.json"


def refresh_views(lake: Lake, warehouse: str) -> None:
    """Create the views, unless this file has them already. Call it under the lake's lock.

    Raises UnusableWarehouse, and CorruptPartition if a file that a view reads cannot be read.
    """
    definitions = view_definitions(str(lake.root), _present(lake))
    digest = _digest(definitions)
    if lake.files.read(STATE) == {"views": digest, "file": _identity(warehouse)}:
        return
    with rebuilt(warehouse) as connection:
        try:
            execute_all(connection, definitions)
        except EngineError as error:
            # DuckDB opens the first file of a view, and does not always name it
            raise CorruptPartition(
                f"the views of {warehouse} were not created, since a file of the lake cannot be read: "
                f"{str(error).splitlines()[0]}; run `python -m pipeline doctor`, which names the file and a command"
            ) from error
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
