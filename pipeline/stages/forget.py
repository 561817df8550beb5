"""Removes one user from the warehouse and from dim_user."""

import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from pipeline.contract import DIM_USER, DIMENSIONS_MANIFEST, DISCARDED, quarantine_of
from pipeline.lake import DimensionCounts, DimensionsManifest, Lake, Publication, parquet_of
from pipeline.stages.user import names_user
from pipeline.warehouse.database import delete_user, rebuilt

DIMENSION, QUARANTINE = DIM_USER.at(), quarantine_of(DIM_USER)


def forget(lake: Lake, warehouse: str, user_id: str) -> None:
    """Remove the user from the warehouse, from dim_user and from the quarantine of users.csv.

    The warehouse is rebuilt even if its tables have no such user: its file may hold old versions of replaced rows.
    Raises UnusableWarehouse.
    """
    with lake.work.locked():
        if os.path.exists(warehouse):
            with rebuilt(warehouse) as connection:
                delete_user(connection, user_id)
            # DuckDB keeps deleted rows in the free blocks of its file; a second copy has only the rows that are left
            with rebuilt(warehouse):
                pass
        kept = {name: _without(lake, name, user_id) for name in (DIMENSION, QUARANTINE) if lake.files.has(name)}
        if any(is_changed for _, is_changed in kept.values()):
            for error in lake.publish([_publication(lake, {name: rows for name, (rows, _) in kept.items()})]).values():
                raise error


def _without(lake: Lake, name: str, user_id: str) -> tuple[pa.Table, bool]:
    """The rows of the file without those of the user, and whether any row was removed."""
    rows = pq.read_table(lake.files.fetch(name), partitioning=None)
    if name == DIMENSION:
        kept = rows.filter(pc.not_equal(rows["user_id"], user_id))
    else:
        kept = rows.filter(
            pa.array([not names_user(record, user_id) for record in rows["record"].to_pylist()], pa.bool_())
        )
    return kept, kept.num_rows < rows.num_rows


def _publication(lake: Lake, kept: dict[str, pa.Table]) -> Publication[DimensionsManifest]:
    before = lake.dimensions() or DimensionsManifest(id=None)
    files = {name: size for name, size in before.files.items() if name not in kept}
    counts = DimensionCounts(*(kept[name].num_rows if name in kept else 0 for name in (DIMENSION, QUARANTINE)))
    manifest = replace(before, files=files, counts=before.counts | {DIM_USER.name: counts})
    publication = Publication(DIMENSIONS_MANIFEST, manifest)
    for name, rows in kept.items():
        table = DIM_USER if name == DIMENSION else DISCARDED
        is_left = rows.num_rows or table == DIM_USER
        publication.add(lake.files, name, parquet_of(table, rows) if is_left else None)
    return publication
