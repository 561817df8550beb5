"""SeedDims: upserts users.csv and products.csv into the warehouse and publishes its tables as dim_user, dim_product."""

import csv
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import asdict

from pipeline.contract import DIM_PRODUCT, DIM_USER, DIMENSIONS_MANIFEST, DISCARDED, Table, quarantine_of
from pipeline.engine import OpenEngine
from pipeline.errors import CorruptPartition, UnreadableDimension
from pipeline.events import emit
from pipeline.lake import DimensionCounts, DimensionsManifest, Lake, Publication, Run, has_hash, parquet_of
from pipeline.warehouse.database import is_empty, rebuilt, upsert

SETTINGS = {DIM_USER: "users_csv", DIM_PRODUCT: "products_csv"}


@dataclass(frozen=True)
class Csv:
    """The CSV of a dimension. A missing file counts as one without rows if `may_lack`: no setting names that file."""

    path: str
    may_lack: bool = False

    @property
    def is_absent(self) -> bool:
        return self.may_lack and not os.path.lexists(self.path)


Sources = dict[Table, Csv]
# the accepted rows of a CSV and the discarded ones
Read = tuple[pa.Table, pa.Table]


def seeded(lake: Lake, warehouse: str, sources: Sources) -> bool:
    """Whether the dimensions are whole and up to date with their CSVs."""
    made_from = _made_from(lake, warehouse)
    return made_from is not None and _digests(sources).items() <= made_from.items()


def _made_from(lake: Lake, warehouse: str) -> dict[str, str] | None:
    """The digests of the CSVs that the dimensions were made from, by name. None if the dimensions are not whole."""
    manifest = lake.dimensions()
    if manifest is None or not lake.whole(manifest) or manifest.warehouse != warehouse or not os.path.exists(warehouse):
        return None
    is_intact = all(has_hash(lake.files.fetch(name), manifest.hash_of(name)) for name in manifest.files)
    return manifest.made_from if is_intact else None


def seed(run: Run, warehouse: str, sources: Sources) -> None:
    """Upsert the CSVs by key into the warehouse and publish the dimensions. The last row of a key wins.

    Rows without a key or with unreadable values are counted and quarantined. If a CSV has not changed, its dimension is
    left as it is. Raises UnreadableDimension after the readable CSVs are published; it names every unreadable one.
    """
    with run.lake.work.locked():
        # hashed before the rows are read: if a CSV changes in between, the next run seeds it again
        digests = _digests(sources)
        known = _made_from(run.lake, warehouse) or {}
        kept = {name: digest for name, digest in digests.items() if known.get(name) == digest}
        due = {table: source for table, source in sources.items() if table.name not in kept}
        read, errors = _read_all(due, run.open_engine)
        if read:
            made_from = kept | {table.name: digests[table.name] for table in read}
            manifest = _publish(run, warehouse, read, made_from)
            _log(manifest, {table: sources[table] for table in read})
        if errors:
            raise UnreadableDimension("; ".join(errors))


def _read_all(sources: Sources, open_engine: OpenEngine) -> tuple[dict[Table, Read], list[str]]:
    """The rows of each readable CSV, and one error text for each of the others."""
    read, errors = {}, []
    for table, source in sources.items():
        try:
            read[table] = _read(table, source, open_engine)
        except UnreadableDimension as error:
            errors.append(str(error))
    return read, errors


def _publish(run: Run, warehouse: str, read: dict[Table, Read], made_from: dict[str, str]) -> DimensionsManifest:
    """Upsert and publish the dimensions in `read`. The files and counts of other dimensions stay in the manifest."""
    before = run.lake.dimensions() or DimensionsManifest(id=None)
    others = [table for table in SETTINGS if table not in read]
    manifest = DimensionsManifest(
        id=hashlib.sha256(json.dumps(made_from).encode()).hexdigest(),
        as_of=run.intent.stamp,
        warehouse=warehouse,
        made_from=made_from,
        counts={table.name: before.counts[table.name] for table in others if table.name in before.counts},
    )
    publication = Publication(DIMENSIONS_MANIFEST, manifest)
    with rebuilt(warehouse) as connection:
        for table, (rows, discarded) in read.items():
            _stage(run.lake, publication, table, upsert(connection, table, rows), discarded)
    kept = {name for table in others for name in (table.at(), quarantine_of(table))}
    manifest.files = {name: size for name, size in before.files.items() if name in kept}
    manifest.hashes = {name: found for name, found in (before.hashes or {}).items() if name in kept}
    for error in run.lake.publish([publication]).values():
        raise error
    return manifest


def _log(manifest: DimensionsManifest, sources: Sources) -> None:
    """Log one event: the row counts of these dimensions, and the CSVs that do not exist."""
    counts = {table.name: asdict(manifest.counts[table.name]) for table in sources}
    fields = {f"{name}_{kind}": n for name, count in counts.items() for kind, n in count.items()}
    emit("seeded", **fields, without=", ".join(source.path for source in sources.values() if source.is_absent) or None)


def init_database(path: str, sources: Sources, open_engine: OpenEngine) -> None:
    """Create the warehouse and its tables. A table that is empty is filled from its CSV."""
    with rebuilt(path) as connection:
        for table, source in sources.items():
            if is_empty(connection, table):
                upsert(connection, table, _read(table, source, open_engine)[0])


def disown_unreadable(lake: Lake) -> list[CorruptPartition]:
    """The error of each dimension whose file cannot be read. If there is one, the next RunAll makes both again.

    Call it under the lake's lock.
    """
    errors = []
    for table in SETTINGS:
        name = table.at()
        try:
            if lake.files.has(name):
                pq.read_table(lake.files.fetch(name), partitioning=None)
        except (OSError, pa.ArrowException):
            lake.disown(DIMENSIONS_MANIFEST)
            errors.append(CorruptPartition(f"{name}: cannot be read; the next RunAll makes the file again"))
    return errors


def is_in_csv(source: Csv, user_id: str) -> bool:
    """Whether `source`, the CSV of dim_user, has a row of the user. Raises UnreadableDimension."""
    return any(row.get("user_id") == user_id for row in csv_rows(DIM_USER, source))


def _stage(
    lake: Lake, publication: Publication[DimensionsManifest], table: Table, rows: pa.Table, discarded: pa.Table
) -> None:
    publication.add(lake.files, table.at(), parquet_of(table, rows))
    quarantine = parquet_of(DISCARDED, discarded) if discarded.num_rows else None
    publication.add(lake.files, quarantine_of(table), quarantine)
    publication.manifest.counts[table.name] = DimensionCounts(rows.num_rows, discarded.num_rows)


def _digests(sources: Sources) -> dict[str, str]:
    return {table.name: _digest(source) for table, source in sources.items()}


def _digest(source: Csv) -> str:
    if source.is_absent:
        return "absent"
    try:
        return hashlib.sha256(Path(source.path).read_bytes()).hexdigest()
    except OSError as error:
        return str(error.strerror)


def _read(table: Table, source: Csv, open_engine: OpenEngine) -> Read:
    """The rows of one CSV: the accepted ones, the last of each key, and the discarded ones with their reason."""
    rows = csv_rows(table, source)
    columns: dict[str, Any] = {
        name: pa.array([row.get(name) for row in rows], pa.string()) for name in table.schema.names
    }
    columns["position"] = pa.array(range(len(rows)), pa.int64())
    columns["ragged"] = pa.array([None in row or None in row.values() for row in rows], pa.bool_())
    with open_engine() as engine:
        engine.bind(csv_row=pa.table(columns))
        typed = engine.query(table.name)
    accepted = typed.filter(pc.is_null(typed["reason"]))
    last = accepted.group_by(table.key[0]).aggregate([("position", "max")])["position_max"]
    accepted = accepted.filter(pc.is_in(accepted["position"], value_set=last.combine_chunks()))
    discarded = typed.filter(pc.is_valid(typed["reason"])).select(["position", "reason"])
    records = [json.dumps(rows[position]).encode() for position in discarded["position"].to_pylist()]
    return accepted.select(table.schema.names), discarded.append_column("record", pa.array(records, pa.binary()))


def csv_rows(table: Table, source: Csv) -> list[dict[Any, Any]]:
    """The rows of a dimension's CSV, as dicts by column name. Raises UnreadableDimension."""
    if source.is_absent:
        return []
    setting = f"[warehouse] {SETTINGS[table]} = {source.path}"
    try:
        with open(source.path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            found = reader.fieldnames or []
            lacking = [name for name in table.schema.names if name not in found]
            if lacking:
                raise UnreadableDimension(
                    f"{setting}: no column {', '.join(lacking)}; expected the header {','.join(table.schema.names)}"
                )
            return list(reader)
    except OSError as error:
        raise UnreadableDimension(f"{setting}: {error.strerror}; expected a CSV file") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UnreadableDimension(f"{setting}: {error}; expected a CSV file in UTF-8") from None
