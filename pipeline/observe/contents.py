"""Whether published files hold what was published: raw by its hash, tables by their rows and types."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract import DISCARDED, FACT_ORDER, ITEMS, ORDER_ITEMS, ORDERS, Stage, Table
from pipeline.lake.files import Lake, Manifest
from pipeline.progress import progress

TABLES = {table.file: table for table in (ORDERS, ITEMS, FACT_ORDER, ORDER_ITEMS)}
# where a manifest counts a table's rows
COUNTED = {ORDERS.file: "normalized", ITEMS.file: "lines", FACT_ORDER.file: "rows", ORDER_ITEMS.file: "rows"}

Published = tuple[Stage, str]


def damaged(lake: Lake, published: Sequence[Published]) -> dict[Published, str]:
    """What is wrong with the files of each stage and date; reads all of them."""
    found = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress("reading files", len(published)) as advance:
        for what, fault in zip(published, pool.map(lambda what: _damage(lake, *what), published), strict=True):
            if fault is not None:
                found[what] = fault
            advance(1)
    return found


def _damage(lake: Lake, stage: Stage, date: str) -> str | None:
    manifest = lake.manifest(stage, date) or {"files": {}}
    return next(filter(None, (_damage_of(lake, name, manifest) for name in sorted(manifest["files"]))), None)


def _damage_of(lake: Lake, name: str, manifest: Manifest) -> str | None:
    try:
        return _difference(lake, name, manifest)
    except (OSError, ValueError, LookupError, pa.ArrowException):
        return f"{os.path.basename(name)} cannot be read"


def _difference(lake: Lake, name: str, manifest: Manifest) -> str | None:
    """How a file differs from what its manifest promises. Raises what reading it raises."""
    layer, file = name.partition("/")[0], os.path.basename(name)
    if layer == "raw":
        return _raw_damage(lake.path(name), manifest["id"])
    counts = manifest["counts"]
    if layer == "quarantine":
        return _table_damage(lake.path(name), DISCARDED, sum(counts["discarded"].values()))
    return _table_damage(lake.path(name), TABLES[file], counts[COUNTED[file]])


def _raw_damage(path: str, raw_id: str) -> str | None:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if digest == raw_id.partition("-")[0] else "its bytes are not those that were landed"


def _table_damage(path: str, table: Table, counted: int) -> str | None:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        rows = sum(batch.num_rows for batch in file.iter_batches())
    if not schema.equals(table.schema):
        return f"{table.name} has other columns or types than the contract"
    return None if rows == counted else f"{table.name} has other rows than were published"
