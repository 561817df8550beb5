"""Reads the quarantine: counts by date and reason, the records themselves, and an export of them to one file."""

import base64
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract import DIM_PRODUCT, DIM_USER, DISCARDED, UNDATED, UNDATED_RECORDS, quarantine_of
from pipeline.errors import BadSetting, CorruptPartition
from pipeline.lake import Lake

# the groups without a date; each stands in the place of a date
OTHERS = (UNDATED_RECORDS, DIM_USER.name, DIM_PRODUCT.name)
BATCH_ROWS = 8192
EXPORTED = pa.schema(
    [("date", pa.string()), ("position", pa.int64()), ("reason", pa.string()), ("record", pa.binary())]
)


@dataclass(frozen=True)
class Choice:
    """The dates and reasons to read; None means all."""

    dates: Collection[str] | None = None
    reasons: Collection[str] | None = None


@dataclass(frozen=True)
class Discarded:
    """One record verbatim, without its newline. `position` is its place in the raw file, from 0."""

    date: str
    position: int
    reason: str
    record: bytes


def discards(lake: Lake, choice: Choice) -> dict[tuple[str, str], int]:
    """How many records by (date, reason): first the dates, sorted, then OTHERS. Raises CorruptPartition."""
    found: dict[tuple[str, str], int] = {}
    for date, name in _files(lake, choice).items():
        reasons = Counter(reason for rows in _batches(lake, name, ["reason"]) for reason in rows["reason"].to_pylist())
        wanted = sorted(reason for reason in reasons if _is_chosen(reason, choice))
        found |= {(date, reason): reasons[reason] for reason in wanted}
    return found


def records(lake: Lake, choice: Choice) -> Iterator[Discarded]:
    """The records by date, in the order of the raw file. Raises CorruptPartition."""
    for date, name in _files(lake, choice).items():
        for rows in _batches(lake, name, DISCARDED.schema.names):
            for row in rows.to_pylist():
                if _is_chosen(row["reason"], choice):
                    record = row["record"].removesuffix(b"\n")
                    yield Discarded(date, row["position"], row["reason"], record)


def _is_chosen(reason: str, choice: Choice) -> bool:
    return choice.reasons is None or reason in choice.reasons


def _files(lake: Lake, choice: Choice) -> dict[str, str]:
    """The files in quarantine by date; the files of dimensions by table name."""
    files = {date: DISCARDED.at(date) for date in lake.partitions("quarantine") if date != UNDATED}
    files[UNDATED_RECORDS] = DISCARDED.at(UNDATED)
    files |= {table.name: quarantine_of(table) for table in (DIM_USER, DIM_PRODUCT)}
    return {date: name for date, name in files.items() if choice.dates is None or date in choice.dates}


def _batches(lake: Lake, name: str, columns: list[str]) -> Iterator[pa.Table]:
    """The rows of a file; none if the file does not exist, as a run may just have removed it."""
    try:
        with pq.ParquetFile(lake.files.fetch(name)) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield pa.Table.from_batches([batch]).select(columns)
    except FileNotFoundError:
        return
    except (OSError, KeyError, pa.ArrowException) as error:
        raise CorruptPartition(
            f"{name}: {error}; expected a Parquet file with {', '.join(columns)}; delete it and run its date again"
        ) from None


def export(found: Iterable[Discarded], path: str) -> int:
    """Write the records to a file, atomically, and return how many they are.

    The suffix decides the format. .ndjson has one object per line, with record_base64 if a record is not UTF-8.
    .parquet has the record as bytes. Raises BadSetting for another suffix, and for a file that cannot be written.
    """
    write = FORMATS.get(Path(path).suffix.lower())
    if write is None:
        raise BadSetting(f"--export {path}: expected a name that ends in {' or '.join(FORMATS)}")
    unfinished = f"{path}.{os.getpid()}.part"
    try:
        written = write(found, unfinished)
        os.replace(unfinished, path)
    except OSError as error:
        raise BadSetting(f"--export {path}: {error.strerror or error}; expected a file that can be written") from None
    finally:
        with suppress(OSError):
            os.unlink(unfinished)
    return written


def _write_ndjson(found: Iterable[Discarded], path: str) -> int:
    written = 0
    with open(path, "w", encoding="utf-8") as file:
        for discarded in found:
            file.write(json.dumps(vars(discarded) | _as_json(discarded.record)) + "\n")
            written += 1
    return written


def _as_json(record: bytes) -> dict[str, str | None]:
    try:
        return {"record": record.decode()}
    except UnicodeDecodeError:
        return {"record": None, "record_base64": base64.b64encode(record).decode()}


def _write_parquet(found: Iterable[Discarded], path: str) -> int:
    written, rest = 0, iter(found)
    with pq.ParquetWriter(path, EXPORTED) as writer:
        while rows := [vars(discarded) for discarded in islice(rest, BATCH_ROWS)]:
            writer.write_table(pa.Table.from_pylist(rows, EXPORTED))
            written += len(rows)
    return written


FORMATS: dict[str, Callable[[Iterable[Discarded], str], int]] = {".ndjson": _write_ndjson, ".parquet": _write_parquet}
