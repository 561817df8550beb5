"""Normalizes a piece of several dates: reads their raw files and stages the files to publish.

A piece can be pickled, and staging it takes no lock. So any process that reaches the lake's files can stage a piece
while another process holds the lock and publishes.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import convert
from msgspec.structs import replace

from pipeline.contract import DISCARDED, ITEMS, LOGIC_VERSION, NORMALIZED_STAGE, ORDERS, raw_name
from pipeline.engine import Engine, Normalized, by_date, normalized, split_lines
from pipeline.fields import FieldMap
from pipeline.lake import (
    Files,
    NormalizedCounts,
    NormalizedManifest,
    Publication,
    RawManifest,
    add_keys,
    corrupt,
    is_raw,
    parquet_of,
)
from pipeline.stages.staging import Staged, one_by_one


@dataclass(frozen=True)
class Due:
    """A date to normalize: its raw manifest, and its new normalized manifest.

    Staging adds the counts to the new manifest. Publishing adds its neighbours and its id.
    """

    raw: RawManifest
    manifest: NormalizedManifest


@dataclass(frozen=True)
class Piece:
    """Dates whose records are read by the same field map."""

    files: Files
    fields: FieldMap | None
    dates: dict[str, Due]

    @property
    def size(self) -> int:
        """The bytes of the raw files."""
        return sum(sum(due.raw.files.values()) for due in self.dates.values())


class Rows(NamedTuple):
    """What a date is published as. `discarded` is None if no record is discarded."""

    orders: pa.Table
    items: pa.Table
    discarded: pa.Table | None
    counts: NormalizedCounts


def logic_of(fields: FieldMap | None) -> int | str:
    """The version of the normalizing logic: LOGIC_VERSION, with the digest of the field map if there is one."""
    return LOGIC_VERSION if fields is None else f"{LOGIC_VERSION}-{fields.digest}"


def _read(files: Files, date: str, manifest: RawManifest) -> bytes:
    data = files.bytes_of(raw_name(date))
    if not is_raw(str(manifest.id), data):
        raise corrupt(raw_name(date), "its bytes are not those that were landed")
    return data


def stage(engine: Engine, piece: Piece) -> Staged[Publication[NormalizedManifest]]:
    """The publication of each date, whose files are in the staging folder; or why there is none."""
    return one_by_one(piece.dates, partial(_rows, engine, piece), partial(_write, piece))


def _rows(engine: Engine, piece: Piece, dates: dict[str, Due]) -> dict[str, Rows]:
    """The rows by date. Raises CorruptPartition if the bytes of a raw file do not match its manifest."""
    made = _normalized(engine, piece, {date: _read(piece.files, date, due.raw) for date, due in dates.items()})
    orders, items, discarded = map(by_date, (made.orders, made.items, made.discarded))
    return {
        date: Rows(
            orders.get(date, ORDERS.schema.empty_table()),
            items.get(date, ITEMS.schema.empty_table()),
            discarded.get(date),
            convert(made.counts.get(date, {}), NormalizedCounts),
        )
        for date in dates
    }


def _normalized(engine: Engine, piece: Piece, data: dict[str, bytes]) -> Normalized:
    lines = split_lines(b"".join(data.values()))
    sizes = np.diff(np.searchsorted(lines.ends, np.cumsum([0, *map(len, data.values())]), side="right"))
    landed = [piece.dates[date].raw for date in data]
    moments = np.array([manifest.answers_as_of[:-1] for manifest in landed], "datetime64[us]")
    return normalized(
        engine,
        lines,
        pa.array(np.repeat(np.array(list(data), "datetime64[D]"), sizes)),
        pa.array(np.repeat(moments, sizes)),
        piece.fields,
        known_plain=all(manifest.plain_by == LOGIC_VERSION for manifest in landed),
    )


def _write(piece: Piece, date: str, rows: Rows) -> Publication[NormalizedManifest]:
    """Stage one date's files. Without discarded records there is no quarantine file."""
    manifest = replace(piece.dates[date].manifest, counts=rows.counts)
    publication = Publication(NORMALIZED_STAGE.manifest_at(date), manifest)
    for table, part in {ORDERS: rows.orders, ITEMS: rows.items, DISCARDED: rows.discarded}.items():
        publication.add(piece.files, table.at(date), parquet_of(table, part) if part is not None else None)
    add_keys(publication, piece.files, NORMALIZED_STAGE, date, rows.orders["order_id"])
    return publication
