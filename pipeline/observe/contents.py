"""Whether published files hold what was published: raw by its hash, tables by their rows and types."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract import FACT_ORDER, ITEMS, NORMALIZED_STAGE, ORDER_ITEMS, ORDERS, RAW_STAGE, Stage, Table
from pipeline.progress import progress
from pipeline.storage import Lake, Manifest, partition

TABLES = {table.file: table for table in (ORDERS, ITEMS, FACT_ORDER, ORDER_ITEMS)}

Published = tuple[Stage, str]


def damaged(lake: Lake, published: Sequence[Published]) -> dict[Published, str]:
    """What is wrong with the files of each stage and date; reads all of them."""
    found = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress("reading files", len(published)) as advance:
        for what, told in zip(published, pool.map(lambda what: _damage(lake, *what), published), strict=True):
            if told is not None:
                found[what] = told
            advance(1)
    return found


def _damage(lake: Lake, stage: Stage, date: str) -> str | None:
    manifest = lake.manifest(stage, date) or {}
    try:
        if stage is RAW_STAGE:
            return _raw_damage(lake.path(partition("raw", date, stage.files[0])), str(manifest.get("id")))
        told = (_table_damage(lake, stage, date, file, manifest) for file in stage.files)
        return next(filter(None, told), None)
    except (OSError, ValueError, pa.ArrowException):
        return "a file cannot be read"


def _raw_damage(path: str, raw_id: str) -> str | None:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if digest == raw_id.partition("-")[0] else "its bytes are not those that were landed"


def _table_damage(lake: Lake, stage: Stage, date: str, file: str, manifest: Manifest) -> str | None:
    table = TABLES[file]
    with pq.ParquetFile(lake.path(partition(stage.layer, date, file))) as parquet:
        rows, schema = 0, parquet.schema_arrow
        for batch in parquet.iter_batches():
            rows += batch.num_rows
    if not schema.equals(table.schema):
        return f"{file} has other columns or types than the contract"
    counted = manifest.get("counts", {}).get(_count(stage, table))
    return None if rows == counted else f"{file} has other rows than were published"


def _count(stage: Stage, table: Table) -> str:
    """The name under which a manifest counts the rows of a table."""
    if stage is NORMALIZED_STAGE:
        return "lines" if table is ITEMS else "normalized"
    return "rows"
