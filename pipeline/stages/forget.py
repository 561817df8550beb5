"""Removes one user from the warehouse and from dim_user."""

import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.contract import DIM_USER, DISCARDED
from pipeline.lake.files import Lake, Publication
from pipeline.lake.parquet import write_table
from pipeline.stages.seed import MANIFEST, NOTHING, published
from pipeline.stages.user import names_user
from pipeline.warehouse.database import delete_user, rebuilt

DIMENSION, QUARANTINE = f"curated/{DIM_USER.file}", f"quarantine/{DIM_USER.file}"


def forget(lake: Lake, warehouse: str, user_id: str) -> None:
    """Remove the user from the warehouse, dim_user and the discarded rows of users.csv. Raises UnusableWarehouse.

    The warehouse is written anew even if its tables have no such user: its file may still, where a row was replaced.
    """
    with lake.locked():
        if os.path.exists(warehouse):
            with rebuilt(warehouse, compact=True) as connection:
                delete_user(connection, user_id)
        kept = {name: _without(lake, name, user_id) for name in (DIMENSION, QUARANTINE) if lake.has(name)}
        if any(is_changed for _, is_changed in kept.values()):
            for error in lake.publish([_publication(lake, {name: rows for name, (rows, _) in kept.items()})]).values():
                raise error


def _without(lake: Lake, name: str, user_id: str) -> tuple[pa.Table, bool]:
    """The file's rows without the user's, and whether these are fewer."""
    rows = pq.read_table(lake.path(name), partitioning=None)
    if name == DIMENSION:
        kept = rows.filter(pc.not_equal(rows["user_id"], user_id))
    else:
        kept = rows.filter(
            pa.array([not names_user(record, user_id) for record in rows["record"].to_pylist()], pa.bool_())
        )
    return kept, kept.num_rows < rows.num_rows


def _publication(lake: Lake, kept: dict[str, pa.Table]) -> Publication:
    manifest = published(lake) or NOTHING
    files = {name: size for name, size in manifest["files"].items() if name not in kept}
    counts = {"rows": kept[DIMENSION].num_rows, "discarded": kept[QUARANTINE].num_rows if QUARANTINE in kept else 0}
    body = manifest | {"files": files, "counts": manifest["counts"] | {DIM_USER.name: counts}}
    publication = Publication(MANIFEST, body)
    for name, rows in kept.items():
        write_table(DIM_USER if name == DIMENSION else DISCARDED, rows, lake.stage(name))
        publication.staged[name] = lake.stage(name) if rows.num_rows or name == DIMENSION else None
    return publication
