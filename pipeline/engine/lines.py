"""Binds raw lines as the table `line` for the SQL. The few lines that DuckDB would misread are rewritten."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from pipeline.contract import UTC_MICROSECONDS
from pipeline.engine.connection import Engine
from pipeline.engine.exact_json import NotJson, NotText, rewrite
from pipeline.engine.too_large import stands_in
from pipeline.fields import AS_THE_CONTRACT, FieldMap

# the columns of `line`:
# exact: the line was rewritten. Its metadata is then in exact_metadata, and `line` is null if it is not a JSON object
# dropped_items: how many elements of `items` the rewriting has removed, because they are not objects
# excluded: the map of the fields excludes the order
# too_large: the line stands in for a record that was too large to keep
SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("date", pa.date32()),
        ("answers_as_of", UTC_MICROSECONDS),
        ("line", pa.large_string()),
        ("exact", pa.bool_()),
        ("exact_metadata", pa.string()),
        ("dropped_items", pa.int64()),
        ("excluded", pa.bool_()),
        ("too_large", pa.bool_()),
    ]
)
NEWLINE_SCAN_BYTES = 1 << 18


@dataclass(frozen=True)
class Lines:
    """A buffer of records. Each record ends with a newline; `ends` has the byte offset behind each one."""

    buffer: pa.Buffer
    ends: np.ndarray

    @property
    def size(self) -> int:
        return len(self.ends)

    def array(self) -> pa.LargeBinaryArray:
        """The lines with their newlines, without a copy."""
        offsets = pa.py_buffer(np.concatenate((np.zeros(1, np.int64), self.ends)))
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), self.size, [None, offsets, self.buffer])


def split_lines(data: bytes | bytearray | memoryview) -> Lines:
    """The lines of a buffer. `data` must be empty or end with a newline: bytes behind the last newline are lost."""
    view = np.frombuffer(data, dtype=np.uint8)
    ends = [
        np.flatnonzero(view[start : start + NEWLINE_SCAN_BYTES] == ord("\n")) + (start + 1)
        for start in range(0, len(view), NEWLINE_SCAN_BYTES)
    ]
    return Lines(pa.py_buffer(data), np.concatenate(ends) if ends else np.zeros(0, np.int64))


def bind_lines(
    engine: Engine,
    lines: Lines,
    *,
    dates: pa.Array | None = None,
    answers_as_of: pa.Array | None = None,
    fields: FieldMap | None = None,
    exactly: Iterable[int] = (),
    known_plain: bool = False,
) -> np.ndarray:
    """Bind the table `line`, one row per raw line. Returns the positions of the rewritten lines, sorted.

    Three kinds of lines are rewritten: the lines at `exactly`, the lines that are not UTF-8, and the lines that
    suspicious.sql finds. With `known_plain`, suspicious.sql does not run.
    `dates` has the date that each line was landed under. `answers_as_of` has the moment by which each line is judged.
    If such an array is not given, its column is null.
    With `fields`, the raw lines have the fields of a shop, and the rows have the contract's names and forms.
    The rewritten rows come last, so the rows are not in the order of `position`.
    """
    array = lines.array()
    text, not_utf8 = _as_text(array)
    plain = _plain(text, dates, answers_as_of)
    engine.bind(line=plain)
    suspicious = [] if known_plain else engine.query("suspicious")["position"].to_pylist()
    positions = np.array(sorted({*suspicious, *not_utf8, *exactly}), np.int64)
    if not len(positions) and fields is None:
        return positions
    rewritten = _rewritten(array, plain, positions, fields or AS_THE_CONTRACT)
    ordinary = np.ones(lines.size, dtype=bool)
    ordinary[positions] = False
    rest = plain.filter(pa.array(ordinary))
    if fields is not None:
        engine.bind(line=rest)
        rest = engine.query("mapped_line", fields.bound).cast(SCHEMA)
    engine.bind(line=pa.concat_tables([rest, rewritten]))
    return positions


def _plain(text: pa.Array, dates: pa.Array | None, answers_as_of: pa.Array | None) -> pa.Table:
    """The rows of `line` for lines that are not rewritten."""
    size = len(text)
    columns = {
        "position": pa.array(np.arange(size)),
        "date": pa.nulls(size, pa.date32()) if dates is None else dates,
        "answers_as_of": pa.nulls(size, UTC_MICROSECONDS) if answers_as_of is None else answers_as_of,
        "line": text,
        "exact": pa.repeat(False, size),
        "exact_metadata": pa.nulls(size, pa.string()),
        "dropped_items": pa.repeat(pa.scalar(0, pa.int64()), size),
        "excluded": pa.repeat(False, size),
        "too_large": stands_in(text),
    }
    return pa.table(columns, schema=SCHEMA)


def _as_text(array: pa.LargeBinaryArray) -> tuple[pa.Array, list[int]]:
    """The lines as text, and the positions of the lines that are not UTF-8; their text is null."""
    text = pa.Array.from_buffers(pa.large_string(), len(array), array.buffers())
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return _as_text_by_line(array)
    return text, []


def _as_text_by_line(array: pa.LargeBinaryArray) -> tuple[pa.Array, list[int]]:
    lines: list[str | None] = []
    for value in array:
        try:
            lines.append(value.as_py().decode())
        except UnicodeDecodeError:
            lines.append(None)
    return pa.array(lines, pa.large_string()), [i for i, line in enumerate(lines) if line is None]


def _rewritten(array: pa.LargeBinaryArray, plain: pa.Table, positions: np.ndarray, fields: FieldMap) -> pa.Table:
    lines, metadata, dropped, excluded = [], [], [], []
    for position in positions:
        record = None
        with suppress(NotJson, NotText):
            record = rewrite(array[position].as_py(), fields)
        lines.append(record.line if record else None)
        metadata.append(record.metadata if record else None)
        dropped.append(record.dropped_items if record else 0)
        excluded.append(record is not None and record.excluded)
    rows = plain.take(pa.array(positions))
    columns = {name: rows[name] for name in ("position", "date", "answers_as_of", "too_large")} | {
        "line": pa.array(lines, pa.large_string()),
        "exact": pa.repeat(True, len(positions)),
        "exact_metadata": pa.array(metadata, pa.string()),
        "dropped_items": pa.array(dropped, pa.int64()),
        "excluded": pa.array(excluded, pa.bool_()),
    }
    return pa.table(columns, schema=SCHEMA)


def same_instant(value: datetime, size: int) -> pa.Array:
    """An array that holds one naive UTC instant `size` times."""
    return pa.repeat(pa.scalar(value, pa.timestamp("us")), size)
