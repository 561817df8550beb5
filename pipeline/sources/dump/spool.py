"""A dump split by date, once, into one file from which any number of dates is published, and its inventory."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.contract import FUTURE_TOLERANCE, LOGIC_VERSION, UNDATED
from pipeline.engine.connection import Engine, OpenEngine
from pipeline.engine.exact_json import NotJson, NotText, rewrite
from pipeline.engine.lines import Lines, bind_lines, same_instant, split_lines
from pipeline.errors import StorageUnusable, UnreadableDump
from pipeline.events import emit
from pipeline.lake.files import Lake
from pipeline.lake.freshness import shown
from pipeline.lake.manifests import EMPTY_ID, is_id_of, raw_id
from pipeline.lake.run import AS_OF_FORMAT, Intent, Run
from pipeline.prefetching import prefetched
from pipeline.progress import progress
from pipeline.sources.dump.file import Dump

INVENTORY = "raw/_inventory.json"
UNDATED_DAY = np.iinfo(np.int32).max


@dataclass
class Part:
    """One date of a dump: how many records, the id of their bytes, and where they lie in the spool.

    `plain_by` is the logic version that found no record among them which has to be read exactly.
    """

    count: int = 0
    id: str = EMPTY_ID
    segments: list[tuple[int, int]] = field(default_factory=list)
    plain_by: int | None = None

    def read(self, spool: BinaryIO) -> Iterator[bytes]:
        """The date's records, in the dump's order, in pieces."""
        for offset, length in self.segments:
            spool.seek(offset)
            yield spool.read(length)


@dataclass
class Inventory:
    """What a dump holds for each date, as read by the run of `as_of`.

    Records are judged by `answers_as_of`, the moment that the dump speaks for: what is later than a day after it is in
    the future. `is_believed` says whether the dump's mtime counts for that.
    """

    dump: dict[str, Any]
    as_of: str
    answers_as_of: str
    is_believed: bool
    parts: dict[str, Part]

    def holds(self, dump: Dump, intent: Intent) -> bool:
        """Whether it tells what reading the dump in this run would tell."""
        answer = spoken_for(dump, intent) if self.is_believed else intent.as_of
        return (
            self.dump == asdict(dump)
            and self.answers_as_of == answer.strftime(AS_OF_FORMAT)
            and not (intent.force and self.as_of < intent.stamp)
        )

    def part(self, date: str) -> Part:
        """What the dump holds of a date; nothing, if it has no record of it."""
        return self.parts.get(date, Part())

    def as_json(self) -> dict[str, Any]:
        """The fields for a JSON file. Not dataclasses.asdict, which copies each of many segments."""
        return vars(self) | {"parts": {date: vars(part) for date, part in self.parts.items()}}

    def without_segments(self) -> "Inventory":
        """What can be said without the spool: kept beside raw, so that an unchanged dump is not opened again."""
        return replace(self, parts={date: replace(part, segments=[]) for date, part in self.parts.items()})

    def dates(self) -> list[str]:
        return sorted(date for date in self.parts if date != UNDATED)


def spoken_for(dump: Dump, intent: Intent) -> datetime:
    """The moment that a dump speaks for: when it was written, and no later than the run that reads it. Naive UTC."""
    return min(intent.as_of, dump.written_at)


class SpoolDamaged(StorageUnusable):
    """The spool has other bytes than were written: it is not synced, so a power cut may cut it."""


def folder(dump: Dump) -> str:
    """The spool's folder in the lake; another dump, or the same path with other content, has another."""
    key = json.dumps(asdict(dump), sort_keys=True)
    return f".spool/{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def read_inventory(lake: Lake, name: str = INVENTORY) -> Inventory | None:
    """The inventory last written, or None."""
    try:
        return msgspec.convert(lake.read(name), Inventory | None)
    except msgspec.ValidationError:
        return None


def read_dump(run: Run, dump: Dump) -> Inventory:
    """The dump's inventory with its spool at hand; reads the dump unless both are. Call it under the lake's lock."""
    spooled = read_inventory(run.lake, f"{folder(dump)}/inventory.json")
    if spooled is None or not spooled.holds(dump, run.intent):
        spooled = split(run, dump)
    return spooled


def peek(run: Run, dump: Dump) -> Inventory:
    """What the dump holds, without writing anything."""
    known = read_inventory(run.lake)
    if known is not None and known.holds(dump, run.intent):
        return known
    return _laid_out(dump, os.devnull, run.intent, run.open_engine)


def split(run: Run, dump: Dump) -> Inventory:
    """Lay the dump out by date in folder(dump), in one pass; a date's records keep the dump's order.

    Raises UnreadableDump; then nothing is left of the spool.
    """
    staged = run.lake.stage("spool")
    os.mkdir(staged)
    inventory = _laid_out(dump, f"{staged}/records", run.intent, run.open_engine)
    with open(f"{staged}/inventory.json", "w", encoding="utf-8") as file:
        file.write(json.dumps(inventory.as_json()))
    shutil.rmtree(run.lake.path(".spool"), ignore_errors=True)
    os.mkdir(run.lake.path(".spool"))
    os.replace(staged, run.lake.path(folder(dump)))
    records = sum(part.count for part in inventory.parts.values())
    emit("dump_read", dump=dump.path, records=records, dates=len(inventory.dates()))
    return inventory


def _laid_out(dump: Dump, path: str, intent: Intent, open_engine: OpenEngine) -> Inventory:
    """The dump, split by date into the file at path.

    By the mtime of a copied or unpacked file most of its records may be in the future. Then the mtime is not when the
    dump was written, and the dump is read once more as if it were written now.
    """
    answer = spoken_for(dump, intent)
    splitter = _read_into(dump, path, answer, open_engine)
    is_believed = answer == intent.as_of or 2 * splitter.future <= splitter.dated
    if not is_believed:
        emit(
            "mtime_not_believed",
            level=logging.WARNING,
            dump=dump.path,
            written_at=shown(answer.strftime(AS_OF_FORMAT)),
            reason=f"{splitter.future:,} of its {splitter.dated:,} dated records are later; it counts as written now",
            advice="touch it when it is written",
        )
        splitter = _read_into(dump, path, intent.as_of, open_engine)
    return splitter.inventory(dump, intent, is_believed=is_believed)


def _read_into(dump: Dump, path: str, answer: datetime, open_engine: OpenEngine) -> "_Splitter":
    splitter = _Splitter(answer)
    with open(path, "wb") as spool, open_engine() as engine:
        splitter.read(engine, dump, spool)
    return splitter


class _Splitter:
    """Sorts buffers of lines by date, and keeps count of what each date holds."""

    def __init__(self, answers_as_of: datetime) -> None:
        self._answers_as_of = answers_as_of
        self._parts: dict[str, Part] = {}
        self._digests: dict[str, Any] = {}
        self._future_updates: dict[str, int] = {}
        # records with a created_at that is a timestamp, and those of them that are in the future
        self.dated = self.future = 0

    def read(self, engine: Engine, dump: Dump, spool: BinaryIO) -> None:
        """Judge every line and append it to the spool; a buffer is appended while the next one is judged."""
        buffers = ((split_lines(buffer), is_array) for buffer, is_array in dump.records())
        with ThreadPoolExecutor(1) as writer, progress("reading MB of dump", dump.size >> 20) as advance:
            pending: Future[None] | None = None
            for lines, is_array in prefetched(buffers):
                judged = self._judge(engine, lines, array_in=dump.path if is_array else None)
                if pending is not None:
                    pending.result()
                pending = writer.submit(self._append, spool, lines, *judged, keep_blank=is_array)
                advance(lines.buffer.size >> 20)
            if pending is not None:
                pending.result()

    def _append(
        self,
        spool: BinaryIO,
        lines: Lines,
        days: np.ndarray,
        future: np.ndarray,
        exact: np.ndarray,
        *,
        keep_blank: bool,
    ) -> None:
        """Append one buffer's lines to the spool, sorted by date."""
        order = np.argsort(days, kind="stable")
        if not keep_blank:
            order = order[~_blank(lines, order, days)]
        data = lines.array().take(pa.array(order))
        ends = np.frombuffer(data.buffers()[1], np.int64)
        content = memoryview(data.buffers()[2] or b"")
        found, firsts = np.unique(days[order], return_index=True)
        lasts = [*firsts[1:], len(order)] if len(order) else []
        for day, first, last in zip(found, firsts, lasts, strict=True):
            date = UNDATED if day == UNDATED_DAY else str(np.datetime64(int(day), "D"))
            part = self._parts.setdefault(date, Part(plain_by=LOGIC_VERSION))
            start, end = int(ends[first]), int(ends[last])
            part.segments.append((spool.tell() + start, end - start))
            part.count += int(last - first)
            if exact[order[first:last]].any():
                part.plain_by = None
            self._digests.setdefault(date, hashlib.sha256()).update(content[start:end])
            self._future_updates[date] = self._future_updates.get(date, 0) + int(future[order[first:last]].sum())
        spool.write(content)

    def _judge(self, engine: Engine, lines: Lines, *, array_in: str | None) -> tuple[np.ndarray, ...]:
        """Each line's day since 1970 (UNDATED_DAY without one), and whether its updated_at is in the future.

        And whether it is to be read exactly. In an array every line must be JSON.
        """
        exactly = bind_lines(
            engine,
            lines,
            dates=pa.nulls(lines.size, pa.date32()),
            extracted_at=same_instant(self._answers_as_of, lines.size),
        )
        if array_in is not None:
            _refuse_syntax_errors(engine, lines, array_in)
        landing = engine.query("landing")
        days = np.full(lines.size, UNDATED_DAY, np.int32)
        has_future_update, exact = np.zeros((2, lines.size), bool)
        exact[exactly] = True
        limit = np.datetime64(self._answers_as_of + FUTURE_TOLERANCE, "us")
        positions = landing["position"].to_numpy()
        days[positions] = landing["date"].cast(pa.int32()).fill_null(UNDATED_DAY).to_numpy()
        self.dated += lines.size - landing["created_at"].null_count
        self.future += int((landing["created_at"].to_numpy() > limit).sum())
        has_future_update[positions] = landing["updated_at"].to_numpy() > limit
        return days, has_future_update, exact

    def inventory(self, dump: Dump, intent: Intent, *, is_believed: bool) -> Inventory:
        for date, part in self._parts.items():
            future = self._future_updates[date] if date != UNDATED else 0
            part.id = raw_id(self._digests[date].hexdigest(), future)
        answer = self._answers_as_of.strftime(AS_OF_FORMAT)
        return Inventory(asdict(dump), intent.stamp, answer, is_believed, self._parts)


def _blank(lines: Lines, rows: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Which of the rows are blank lines; only an undated one can be."""
    blank = np.zeros(len(rows), bool)
    array = lines.array()
    for place in np.flatnonzero(days[rows] == UNDATED_DAY):
        blank[place] = not array[int(rows[place])].as_py().strip()
    return blank


def _refuse_syntax_errors(engine: Engine, lines: Lines, path: str) -> None:
    array = lines.array()
    for position in engine.query("not_json")["position"].to_pylist():
        try:
            rewrite(array[position].as_py())
        except NotText:
            continue
        except NotJson as error:
            raise UnreadableDump(
                f"{path}: an element of the array is {error} of that element; expected JSON throughout; "
                "nothing was published"
            ) from None


def copy_part(lake: Lake, dump: Dump, part: Part, target: str) -> None:
    """Write one date's records to a file, as the dump has them. Raises SpoolDamaged."""
    digest = hashlib.sha256()
    with open(lake.path(f"{folder(dump)}/records"), "rb") as spool, open(target, "wb") as file:
        for piece in part.read(spool):
            digest.update(piece)
            file.write(piece)
    _compare(lake, dump, part, digest.hexdigest())


def part_bytes(lake: Lake, dump: Dump, part: Part) -> bytes:
    """One date's records, as the dump has them. Raises SpoolDamaged."""
    with open(lake.path(f"{folder(dump)}/records"), "rb") as spool:
        data = b"".join(part.read(spool))
    _compare(lake, dump, part, hashlib.sha256(data).hexdigest())
    return data


def refuse_damaged(lake: Lake, dump: Dump, inventory: Inventory) -> None:
    """Raises SpoolDamaged unless every record is in the spool as it was written."""
    for part in inventory.parts.values():
        part_bytes(lake, dump, part)


def _compare(lake: Lake, dump: Dump, part: Part, digest: str) -> None:
    if not is_id_of(part.id, digest):
        name = lake.path(f"{folder(dump)}/records")
        raise SpoolDamaged(f"{name}: other bytes than were written to it; expected a disk that keeps what is written")


def remove_dump_spool(lake: Lake) -> None:
    """Delete every spool. Call it under the lake's lock."""
    shutil.rmtree(lake.path(".spool"), ignore_errors=True)
