"""Finds and counts the records and rows of one user, in the lake and in its sources."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.contract import (
    DIM_USER,
    DISCARDED,
    FACT_ORDER,
    FACT_ORDER_STAGE,
    NORMALIZED_STAGE,
    ORDERS,
    UNDATED,
    Stage,
    Table,
    raw_name,
)
from pipeline.engine import BAD_DATE, Engine, Lines, OpenEngine, bind_lines, split_lines, text_of
from pipeline.errors import CorruptPartition
from pipeline.fields import FieldMap, map_of
from pipeline.lake import Lake, Run
from pipeline.sources.raw import Shape, fields_of

Maps = Sequence[FieldMap | None]


@dataclass(frozen=True)
class Held:
    """The counts of one user in one partition. `mentions` counts other users' records that contain the user_id."""

    records: int
    quarantined: int
    orders: int
    rows: int
    mentions: int

    @property
    def in_all(self) -> int:
        """The sum of all but the mentions; 0 if there is nothing to erase."""
        return self.records + self.quarantined + self.orders + self.rows


def survey(run: Run, user_id: str, shape: Shape) -> dict[str, Held]:
    """The counts of the user by date, or UNDATED. Dates without the user are left out. Raises CorruptPartition."""
    found, lake = {}, run.lake
    try:
        with run.open_engine() as engine:
            orders = _rows(lake, engine, user_id, ORDERS, NORMALIZED_STAGE)
            facts = _rows(lake, engine, user_id, FACT_ORDER, FACT_ORDER_STAGE)
            for date in sorted({*lake.partitions("raw"), *lake.partitions("quarantine"), *orders, *facts}):
                maps = maps_of(lake, date, shape)
                records, mentions = _counts(engine, raw_bytes(lake, date), user_id, maps)
                discarded, _ = _counts(engine, _quarantined(lake, date), user_id, maps)
                found[date] = Held(records, discarded, orders.get(date, 0), facts.get(date, 0), mentions)
    except BAD_DATE as error:
        reason, mend = str(error).splitlines()[0], "delete that file, run `python -m pipeline`"
        raise CorruptPartition(f"{reason}; {mend}, then run this command again") from error
    return {date: held for date, held in found.items() if held.in_all or held.mentions}


def maps_of(lake: Lake, date: str, shape: Shape) -> Maps:
    """The distinct field maps of a date: the map that it was landed with, and the map that reads it now.

    Undated records have the maps of all dumps that they came from.
    """
    manifest = lake.landed(date)
    segments = (segment for found in (manifest.segments or {}).values() for segment in found)
    came = [map_of(segment.fields) for segment in segments]
    return list(dict.fromkeys((fields_of(manifest), fields_of(manifest, shape), *came)))


def raw_bytes(lake: Lake, date: str) -> bytes:
    """A date's raw file; empty when there is none."""
    return lake.files.bytes_of(raw_name(date)) if lake.files.has(raw_name(date)) else b""


def may_hold(data: bytes, user_id: str) -> bool:
    """Whether the data can hold the user_id: it contains the bytes of the user_id, or a JSON escape."""
    return user_id.encode() in data or b"\\" in data


def lines_of_user(engine: Engine, lines: Lines, user_id: str, maps: Maps) -> np.ndarray:
    """One boolean a line: whether it is a record of the user.

    A malformed record is the user's if its text has the user_id as a string; a record that was too large, if its head
    does.
    """
    is_theirs = np.zeros(lines.size, bool)
    for fields in maps:
        bind_lines(engine, lines, fields=fields)
        rows = engine.query("line_of_user", {"user_id": user_id})
        is_theirs[rows.filter(rows["is_record"])["position"].to_numpy()] = True
        doubtful = rows.filter(pc.invert(rows["is_record"]))["position"].to_numpy()
        is_theirs[doubtful[_names(lines, doubtful, user_id)]] = True
    return is_theirs


def names_user(record: bytes, user_id: str) -> bool:
    """Whether the text of a record contains the user_id as a JSON string. Of a record that was too large: the head."""
    text = text_of(record)
    return any(json.dumps(user_id, ensure_ascii=ascii_only).encode() in text for ascii_only in (True, False))


def in_records(records: Iterator[bytes], user_id: str, fields: FieldMap | None, open_engine: OpenEngine) -> int:
    """How many records of the user a source has. `records` gives buffers of whole lines; its errors are passed on."""
    with open_engine() as engine:
        return sum(_counts(engine, data, user_id, [fields])[0] for data in records)


def in_dimension(lake: Lake, user_id: str) -> int:
    """How many rows of dim_user are the user's."""
    if not lake.files.has(DIM_USER.at()):
        return 0
    rows = pq.read_table(lake.files.fetch(DIM_USER.at()), partitioning=None)["user_id"].to_pylist()
    return int(rows.count(user_id))


def _counts(engine: Engine, data: bytes, user_id: str, maps: Maps) -> tuple[int, int]:
    """How many lines are records of the user, and how many other lines contain the user_id."""
    if not may_hold(data, user_id):
        return 0, 0
    lines = split_lines(data)
    is_theirs = lines_of_user(engine, lines, user_id, maps)
    others = _names(lines, np.flatnonzero(~is_theirs), user_id)
    return int(is_theirs.sum()), int(others.sum())


def _names(lines: Lines, positions: np.ndarray, user_id: str) -> np.ndarray:
    records = lines.array().take(pa.array(positions))
    return np.array([names_user(record.as_py(), user_id) for record in records], bool)


def _quarantined(lake: Lake, date: str) -> bytes:
    name = DISCARDED.at(date)
    records = pq.read_table(lake.files.fetch(name), partitioning=None)["record"] if lake.files.has(name) else None
    return b"".join(records.to_pylist()) if records is not None else b""


def _rows(lake: Lake, engine: Engine, user_id: str, table: Table, stage: Stage) -> dict[str, int]:
    """How many rows of a table are the user's, by date. Files that are not whole are skipped: a run rebuilds them."""
    dates = [date for date in lake.partitions(table.layer) if lake.is_whole(stage, date)]
    paths = lake.paths(table, (date for date in dates if date != UNDATED))
    engine.register_files(table, paths, "published")
    rows = engine.query("row_of_user", {"user_id": user_id})
    return {str(row["date"]): row["rows"] for row in rows.to_pylist()}
