"""Reads the records of the undated partition, each with its origin, and writes them to quarantine."""

import hashlib
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress, groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UNSET

from pipeline.contract import DISCARDED, UNDATED, raw_name
from pipeline.engine import Engine, normalized, split_lines
from pipeline.errors import CorruptPartition
from pipeline.events import emit
from pipeline.fields import FieldMap, map_of, texts_of
from pipeline.lake import AS_OF_FORMAT, Lake, RawManifest, Segment, moment, parquet_of

RAW, QUARANTINE = raw_name(UNDATED), DISCARDED.at(UNDATED)
BATCH_LINES = 1 << 17
FUTURE = "future_created_at"


class Origin(NamedTuple):
    """The dump that a record came with: the moment and the map by which the record is judged."""

    answers_as_of: str
    fields: FieldMap | None = None

    @classmethod
    def of(cls, segment: Segment) -> "Origin":
        return cls(segment.answers_as_of, map_of(segment.fields))


@dataclass
class Undated:
    """The records of the partition in order, and the origin of each."""

    lines: list[bytes]
    origins: list[Origin]

    @classmethod
    def of(cls, lines: list[bytes], segments: list[Segment]) -> "Undated":
        origins = ((Origin.of(segment), segment.records) for segment in segments)
        return cls(lines, [origin for origin, records in origins for _ in range(records)])

    @property
    def content(self) -> bytes:
        return b"".join(self.lines)

    @property
    def segments(self) -> list[Segment]:
        """Runs of neighbouring records with the same origin, in order."""
        return [
            Segment(len(list(records)), origin.answers_as_of, texts_of(origin.fields) or UNSET)
            for origin, records in groupby(self.origins)
        ]

    def only(self, stays: list[bool]) -> "Undated":
        """The records whose element of `stays` is true. `stays` has one boolean per record."""
        return Undated(list(compress(self.lines, stays)), list(compress(self.origins, stays)))


@dataclass(frozen=True)
class Landed:
    """The records of the partition, and the state of their files."""

    records: Undated
    # the raw file's hash is the id of the manifest
    is_intact: bool = False
    # the manifest counts records, but both files are missing
    is_lost: bool = False


def landed_records(lake: Lake) -> Landed:
    """The records of the partition. Empty if there is no partition.

    If the raw file is lost, damaged or without its manifest, the records are read from quarantine. Raises
    CorruptPartition if neither file can be read.
    """
    manifest = lake.raw(UNDATED)
    data = lake.files.bytes_of(RAW) if lake.files.has(RAW) else None
    digest = hashlib.sha256(data).hexdigest() if data is not None else ""
    segments = segments_of(manifest).get(digest) if manifest is not None else None
    if data is not None and segments is not None:
        return Landed(Undated.of(split(data), segments), is_intact=manifest is not None and manifest.id == digest)
    lines = _quarantined(lake)
    if lines is None and manifest is None and data is not None:
        # the raw file is always replaced whole, so even without a manifest it has the records landed last
        lines = split(data)
    if lines is not None:
        return Landed(Undated(lines, [Origin(_oldest_moment(lake))] * len(lines)))
    counted = manifest.counts.extracted if manifest is not None else 0
    if not counted or (data is None and not lake.files.has(QUARANTINE)):
        if counted:
            reason = f"{RAW} and {QUARANTINE} are missing; records that the present dump does not hold are lost"
            emit("undated_lost", level=logging.WARNING, records=counted, reason=reason)
        return Landed(Undated([], []), is_lost=bool(counted))
    raise CorruptPartition(
        f"{RAW}: its bytes are not those that were landed, and {QUARANTINE} cannot be read; restore one of the two "
        "files from a backup, or delete both and run again: then only the records of the present dump come back"
    )


def _oldest_moment(lake: Lake) -> str:
    """The earliest moment at which records of an unknown dump can have come."""
    manifest = lake.raw(UNDATED)
    if manifest is None:
        written_at = map(lake.files.modified_at, lake.files.names(os.path.dirname(RAW)))
        return min(written_at, default=datetime.fromtimestamp(0, UTC)).strftime(AS_OF_FORMAT)
    moments = (segment.answers_as_of for found in segments_of(manifest).values() for segment in found)
    return min(moments, default=moment_of(manifest))


def segments_of(manifest: RawManifest) -> dict[str, list[Segment]]:
    """The segments of the raw file, by the sha256 of its content. Earlier versions wrote none: then one segment."""
    if manifest.segments:
        return manifest.segments
    return {str(manifest.id): [Segment(records=manifest.counts.extracted, answers_as_of=moment_of(manifest))]}


def moment_of(manifest: RawManifest) -> str:
    """The newest moment that the partition speaks for. Empty if none is known."""
    return manifest.answers_as_of or manifest.as_of


def split(data: bytes) -> list[bytes]:
    """The lines of a buffer."""
    lines: list[bytes] = split_lines(data).array().to_pylist()
    return lines


def _quarantined(lake: Lake) -> list[bytes] | None:
    """The records in quarantine. None if the file is missing or cannot be read."""
    try:
        records: list[bytes] = pq.read_table(lake.files.fetch(QUARANTINE), partitioning=None)["record"].to_pylist()
    except (OSError, KeyError, pa.ArrowException):
        return None
    return records


def stage_quarantine(lake: Lake, engine: Engine, now: Undated) -> list[str]:
    """Stage each record with the reason to discard it; returns the reasons. Without records it stages no file."""
    reasons: list[str] = []
    for fields, group in groupby(now.origins, key=lambda origin: origin.fields):
        end = len(reasons) + len(list(group))
        while (start := len(reasons)) < end:
            batch = slice(start, min(end, start + BATCH_LINES))
            reasons += _reasons(engine, Undated(now.lines[batch], now.origins[batch]), fields)
    if reasons:
        columns = {"position": list(range(len(reasons))), "reason": reasons, "record": now.lines}
        lake.files.stage_bytes(QUARANTINE, parquet_of(DISCARDED, pa.table(columns, schema=DISCARDED.schema)))
    return reasons


def _reasons(engine: Engine, chosen: Undated, fields: FieldMap | None) -> list[str]:
    """The reason to discard each of these records."""
    lines = split_lines(chosen.content)
    at = pa.array(np.array([moment(origin.answers_as_of) for origin in chosen.origins], "datetime64[us]"))
    rows = normalized(engine, lines, pa.nulls(lines.size, pa.date32()), at, fields).discarded
    found = dict(zip(rows["position"].to_pylist(), rows["reason"].to_pylist(), strict=True))
    # a record with an acceptable created_at is undated only because its created_at was in the future when it came
    return [found.get(position, FUTURE) for position in range(lines.size)]
