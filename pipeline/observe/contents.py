"""Compares published files with their manifests: raw by its hash, tables by columns, types, row counts and hash."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract import (
    DIM_PRODUCT,
    DIM_USER,
    DISCARDED,
    FACT_ORDER,
    ITEMS,
    KEY_SUFFIX,
    ORDER_ITEMS,
    ORDERS,
    Stage,
    Table,
    raw_name,
)
from pipeline.lake import (
    CuratedManifest,
    DimensionsManifest,
    Lake,
    Manifest,
    NormalizedManifest,
    RawManifest,
    file_hash,
    has_hash,
    is_id_of,
)
from pipeline.progress import progress

Published = tuple[Stage, str]
UNREADABLE = (OSError, ValueError, LookupError, pa.ArrowException)


class Damage(NamedTuple):
    """The name of a file, and what is wrong with it."""

    name: str
    text: str

    @property
    def is_of_table(self) -> bool:
        """Whether it is a file with records, not a key file."""
        return not self.name.endswith(KEY_SUFFIX)


def damaged(lake: Lake, published: Sequence[Published]) -> dict[Published, Damage]:
    """The first damaged file of each stage and date; a key file only if no table is damaged. Reads all the files."""
    found = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress("reading files", len(published)) as advance:
        for what, fault in zip(published, pool.map(lambda what: _damage(lake, *what), published), strict=True):
            if fault is not None:
                found[what] = fault
            advance(1)
    return found


def damaged_dimensions(lake: Lake) -> list[Damage]:
    """The damaged files of the dimensions, of those whose size is right. Reads all files of the dimensions."""
    manifest = lake.dimensions() or DimensionsManifest(id=None)
    found = []
    for table in (DIM_USER, DIM_PRODUCT):
        name = table.at()
        if table.name in manifest.counts and lake.files.size(name) == manifest.files.get(name):
            try:
                rows, published = manifest.counts[table.name].rows, manifest.hash_of(name)
                text = _table_damage(lake.files.fetch(name), table, rows, published)
            except UNREADABLE:
                text = f"{os.path.basename(name)} cannot be read"
            found += [Damage(name, text)] if text is not None else []
    return found


def _damage(lake: Lake, stage: Stage, date: str) -> Damage | None:
    manifest = lake.manifest(stage, date)
    listed = {*manifest.files, *(manifest.hashes or ())} if manifest is not None else set()
    names = sorted(listed, key=lambda name: (name.endswith(KEY_SUFFIX), name))
    texts = ((name, _damage_of(lake, name, date, manifest)) for name in names)
    return next((Damage(name, text) for name, text in texts if text is not None), None)


def _damage_of(lake: Lake, name: str, date: str, manifest: Manifest | None) -> str | None:
    """How a file differs from its manifest; None if it does not."""
    published = manifest.hash_of(name) if manifest is not None else None
    try:
        if isinstance(manifest, RawManifest) and name == raw_name(date):
            return _raw_damage(lake.files.fetch(name), str(manifest.id))
        if name.endswith(KEY_SUFFIX):
            is_published = has_hash(lake.files.fetch(name), published)
            return None if is_published else f"{os.path.basename(name)} has other bytes than were published"
        counted = {table.at(date): (table, rows) for table, rows in _counted(manifest).items()}
        return _table_damage(lake.files.fetch(name), *counted[name], published)
    except UNREADABLE:
        return f"{os.path.basename(name)} cannot be read"


def _counted(manifest: Manifest | None) -> dict[Table, int]:
    """How many rows the manifest gives for each table."""
    match manifest:
        case RawManifest(counts=counts):
            return {DISCARDED: sum((counts.discarded or {}).values())}
        case NormalizedManifest(counts=counts):
            return {ORDERS: counts.normalized, ITEMS: counts.lines, DISCARDED: sum(counts.discarded.values())}
        case CuratedManifest(counts=counts):
            return {FACT_ORDER: counts.rows, ORDER_ITEMS: counts.rows}
    return {}


def _raw_damage(path: str, raw_id: str) -> str | None:
    return None if is_id_of(raw_id, file_hash(path)) else "its bytes are not those that were landed"


def _table_damage(path: str, table: Table, counted: int, published: str | None) -> str | None:
    """`counted` are the rows and `published` is the hash of the manifest."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        rows = sum(batch.num_rows for batch in file.iter_batches())
    if not table.has(schema):
        return f"{table.name} has other columns or types than the contract"
    if rows != counted:
        return f"{table.name} has more or fewer rows than were published"
    return None if has_hash(path, published) else f"{table.name} has other bytes than were published"
