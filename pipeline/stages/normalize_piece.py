"""Normalizes a piece of several dates: reads their raw files and stages the files to publish.

A piece can be pickled, and staging it takes no lock. So any process that reaches the lake's files can stage a piece
while another process holds the lock and publishes.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from msgspec import convert
from msgspec.structs import replace

from pipeline.contract import DISCARDED, ITEMS, LOGIC_VERSION, NORMALIZED_STAGE, ORDERS, raw_name
from pipeline.engine import Engine, Normalized, by_date, normalized, split_lines
from pipeline.errors import CorruptPartition
from pipeline.fields import FieldMap
from pipeline.lake import (
    Files,
    NormalizedCounts,
    NormalizedManifest,
    Publication,
    RawManifest,
    corrupt,
    is_raw,
    stage_keys,
    write_table,
)
from pipeline.stages.staging import failed, one_by_one

Staged = dict[str, Future[Publication[NormalizedManifest]]]


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


def logic_of(fields: FieldMap | None) -> int | str:
    """The version of the normalizing logic: LOGIC_VERSION, with the digest of the field map if there is one."""
    return LOGIC_VERSION if fields is None else f"{LOGIC_VERSION}-{fields.digest}"


@dataclass(frozen=True)
class Raw:
    """The raw files of a piece, by date, and the errors of files that could not be read, by date."""

    piece: Piece
    data: dict[str, bytes]
    failed: dict[str, Exception]


def read(piece: Piece) -> Raw:
    """Read the raw files of a piece. A file whose bytes do not match its manifest fails."""
    raw = Raw(piece, {}, {})
    for date, due in piece.dates.items():
        try:
            raw.data[date] = _read(piece.files, date, due.raw)
        except (OSError, CorruptPartition) as error:
            raw.failed[date] = error
    return raw


def _read(files: Files, date: str, manifest: RawManifest) -> bytes:
    data = files.bytes_of(raw_name(date))
    if not is_raw(str(manifest.id), data):
        raise corrupt(raw_name(date), "its bytes are not those that were landed")
    return data


def stage(engine: Engine, raw: Raw, writers: ThreadPoolExecutor) -> Staged:
    """The publication of each date. A future is done when the files of its date are in the staging folder."""

    def together(data: dict[str, bytes]) -> Staged:
        rows = _normalized(engine, raw.piece, data)
        tables = (by_date(rows.orders), by_date(rows.items), by_date(rows.discarded))
        return {
            date: writers.submit(
                _write,
                raw.piece.files,
                date,
                [table.get(date) for table in tables],
                replace(raw.piece.dates[date].manifest, counts=convert(rows.counts.get(date, {}), NormalizedCounts)),
            )
            for date in data
        }

    unread: Staged = {date: failed(error) for date, error in raw.failed.items()}
    return (one_by_one(raw.data, together) if raw.data else {}) | unread


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


def _write(
    files: Files, date: str, rows: list[pa.Table | None], manifest: NormalizedManifest
) -> Publication[NormalizedManifest]:
    """Stage one date's files. Without rows, orders and items are files of 0 rows, and there is no quarantine file."""
    orders, items, discarded = rows
    orders = orders or ORDERS.schema.empty_table()
    parts = {ORDERS: orders, ITEMS: items or ITEMS.schema.empty_table(), DISCARDED: discarded}
    publication = Publication(NORMALIZED_STAGE.manifest_at(date), manifest)
    for table, part in parts.items():
        name = table.at(date)
        publication.staged[name] = files.stage(name) if part is not None else None
        if part is not None:
            write_table(table, part, files.stage(name))
    manifest.order_ids = stage_keys(files, NORMALIZED_STAGE, date, orders["order_id"])
    publication.staged[NORMALIZED_STAGE.keys_at(date)] = files.stage(NORMALIZED_STAGE.keys_at(date))
    publication.measure()
    return publication
