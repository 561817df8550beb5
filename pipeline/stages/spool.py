"""A dump split by date, once, into one file from which any number of dates is published, and its inventory."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from pipeline.ahead import ahead
from pipeline.contract import LOGIC_VERSION, UNDATED
from pipeline.engine import Engine
from pipeline.errors import UnreadableDump
from pipeline.events import emit
from pipeline.exact_json import NotJson, NotText, rewrite
from pipeline.freshness import AS_OF_FORMAT, EMPTY_ID, Intent
from pipeline.progress import progress
from pipeline.records import Lines, bind_lines, same_instant, split_lines
from pipeline.sources.dump import Dump
from pipeline.storage import Lake

INVENTORY = "raw/_inventory.json"
UNDATED_DAY = np.iinfo(np.int32).max
AHEAD = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1)

OpenEngine = Callable[[], Engine]


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
    """What a dump holds for each date, as judged at `as_of`, and the stamps between which that judgement is the same.

    A record is in the future, or its updated_at is, as of one extraction and no longer so at a later one.
    """

    dump: dict[str, Any]
    as_of: str
    valid_from: str
    valid_until: str
    parts: dict[str, Part]

    def holds(self, dump: Dump, intent: Intent) -> bool:
        """Whether it tells what reading the dump in this run would tell."""
        return (
            self.dump == asdict(dump)
            and self.valid_from <= intent.stamp < self.valid_until
            and not (intent.force and self.as_of < intent.stamp)
        )

    def as_json(self) -> dict[str, Any]:
        """The fields for a JSON file. Not dataclasses.asdict, which copies each of many segments."""
        return vars(self) | {"parts": {date: vars(part) for date, part in self.parts.items()}}

    def without_segments(self) -> "Inventory":
        """What can be said without the spool: kept beside raw, so that an unchanged dump is not opened again."""
        return replace(self, parts={date: replace(part, segments=[]) for date, part in self.parts.items()})

    def dates(self) -> list[str]:
        return sorted(date for date in self.parts if date != UNDATED)


def is_raw(raw_id: str, data: bytes) -> bool:
    """Whether these are the bytes that a raw partition's id stands for."""
    return raw_id.partition("-")[0] == hashlib.sha256(data).hexdigest()


def folder(dump: Dump) -> str:
    """The spool's folder in the lake; another dump, or the same path with other content, has another."""
    key = json.dumps(asdict(dump), sort_keys=True)
    return f".spool/{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def read_inventory(lake: Lake, name: str = INVENTORY) -> Inventory | None:
    """The inventory last written, or None."""
    content = lake.read(name)
    try:
        parts = {date: Part(**part) for date, part in content["parts"].items()} if content else {}
        return Inventory(**(content | {"parts": parts})) if content else None
    except (KeyError, TypeError):
        return None


def read_dump(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    """The dump's inventory with its spool at hand; reads the dump unless both are. Call it under the lake's lock."""
    spooled = read_inventory(lake, f"{folder(dump)}/inventory.json")
    if spooled is None or not spooled.holds(dump, intent):
        spooled = split(lake, dump, intent, open_engine)
    return spooled


def peek(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    """What the dump holds, without writing anything."""
    known = read_inventory(lake)
    if known is not None and known.holds(dump, intent):
        return known
    splitter = _Splitter(intent)
    with open(os.devnull, "wb") as nowhere, open_engine() as engine:
        splitter.read(engine, dump, nowhere)
    return splitter.inventory(dump)


def split(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    """Lay the dump out by date in folder(dump), in one pass; a date's records keep the dump's order.

    Raises UnreadableDump; then nothing is left of the spool.
    """
    staged = lake.stage("spool")
    os.mkdir(staged)
    splitter = _Splitter(intent)
    with open(f"{staged}/records", "wb") as spool, open_engine() as engine:
        splitter.read(engine, dump, spool)
    inventory = splitter.inventory(dump)
    with open(f"{staged}/inventory.json", "w", encoding="utf-8") as file:
        file.write(json.dumps(inventory.as_json()))
    shutil.rmtree(lake.path(".spool"), ignore_errors=True)
    os.mkdir(lake.path(".spool"))
    os.replace(staged, lake.path(folder(dump)))
    records = sum(part.count for part in inventory.parts.values())
    emit("dump_read", dump=dump.path, records=records, dates=len(inventory.dates()))
    return inventory


class _Splitter:
    """Sorts buffers of lines by date, and keeps count of what each date holds."""

    def __init__(self, intent: Intent) -> None:
        self._as_of = intent.as_of
        self._stamp = intent.stamp
        self._parts: dict[str, Part] = {}
        self._digests: dict[str, Any] = {}
        self._ahead: dict[str, int] = {}
        self._past_until, self._future_from = _EPOCH, datetime.max

    def read(self, engine: Engine, dump: Dump, spool: BinaryIO) -> None:
        """Judge every line and append it to the spool; a buffer is appended while the next one is judged."""
        buffers = ((split_lines(buffer), is_array) for buffer, is_array in dump.records())
        with ThreadPoolExecutor(1) as writer, progress("reading MB of dump", dump.size >> 20) as advance:
            pending: Future[None] | None = None
            for lines, is_array in ahead(buffers):
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
            self._ahead[date] = self._ahead.get(date, 0) + int(future[order[first:last]].sum())
        spool.write(content)

    def _judge(self, engine: Engine, lines: Lines, *, array_in: str | None) -> tuple[np.ndarray, ...]:
        """Each line's day since 1970 (UNDATED_DAY without one), and whether its updated_at is in the future.

        And whether it is to be read exactly. In an array every line must be JSON.
        """
        exactly = bind_lines(
            engine,
            lines,
            dates=pa.nulls(lines.size, pa.date32()),
            extracted_at=same_instant(self._as_of, lines.size),
        )
        if array_in is not None:
            _refuse_syntax_errors(engine, lines, array_in)
        landing = engine.query("landing")
        days = np.full(lines.size, UNDATED_DAY, np.int32)
        ahead_of_time, exact = np.zeros((2, lines.size), bool)
        exact[exactly] = True
        limit = np.datetime64(self._as_of + AHEAD, "us")
        positions = landing["position"].to_numpy()
        days[positions] = landing["date"].cast(pa.int32()).fill_null(UNDATED_DAY).to_numpy()
        for name in ("created_at", "updated_at"):
            instants = landing[name].to_numpy()
            future = instants > limit
            if future.any():
                self._future_from = min(self._future_from, instants[future].min().astype(datetime))
            past = instants <= limit
            if past.any():
                self._past_until = max(self._past_until, instants[past].max().astype(datetime))
        ahead_of_time[positions] = landing["updated_at"].to_numpy() > limit
        return days, ahead_of_time, exact

    def inventory(self, dump: Dump) -> Inventory:
        for date, part in self._parts.items():
            ahead = self._ahead[date] if date != UNDATED else 0
            part.id = self._digests[date].hexdigest() + (f"-{ahead}" if ahead else "")
        first, last = ((bound - AHEAD).strftime(AS_OF_FORMAT) for bound in (self._past_until, self._future_from))
        return Inventory(asdict(dump), self._stamp, first, last, self._parts)


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
    """Write one date's records to a file, as the dump has them."""
    with open(lake.path(f"{folder(dump)}/records"), "rb") as spool, open(target, "wb") as file:
        file.writelines(part.read(spool))


def remove_spool(lake: Lake) -> None:
    """Delete every spool. Call it under the lake's lock."""
    shutil.rmtree(lake.path(".spool"), ignore_errors=True)
