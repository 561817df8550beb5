"""Splits a dump into a file for each date, in one pass, and makes its inventory."""

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.contract import FUTURE_TOLERANCE, LOGIC_VERSION, UNDATED
from pipeline.engine import (
    Engine,
    Fit,
    Lines,
    NotJson,
    NotText,
    OpenEngine,
    bind_lines,
    rewrite,
    same_instant,
    split_lines,
)
from pipeline.errors import UnreadableDump
from pipeline.events import emit
from pipeline.lake import AS_OF_FORMAT, Intent, Run, Spool, raw_id, shown
from pipeline.progress import progress
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.inventory import Inventory, Part, moment_of_dump

UNDATED_DAY = np.iinfo(np.int32).max


def split_by_date(dump: Dump, spool: Spool | None, run: Run, is_believed: bool) -> Inventory:
    """Write the dump's records to the spool, a file a date; returns the dump's inventory. None: write nothing.

    `is_believed` says whether the dump's mtime counts as the time when the dump was written. A copied or unpacked file
    may have an mtime that is too early. If more than half of the dated records are in the future of the mtime, the dump
    is read once more as if it were written now. Raises UnreadableDump and SourceUnreadable.
    """
    answer = moment_of_dump(dump, run.intent) if is_believed else run.intent.as_of
    splitter = _read_into(dump, spool, answer, run.open_engine)
    if answer < run.intent.as_of and 2 * splitter.future > splitter.dated:
        is_believed = False
        emit(
            "mtime_not_believed",
            level=logging.WARNING,
            dump=dump.path,
            written_at=shown(answer.strftime(AS_OF_FORMAT)),
            reason=f"{splitter.future:,} of its {splitter.dated:,} dated records are later than its modification time; "
            "the dump counts as written now",
            advice="touch the dump after it is written, copied or unpacked",
        )
        splitter = _read_into(dump, spool, run.intent.as_of, run.open_engine)
    return splitter.inventory(run.intent, is_believed=is_believed)


def _read_into(dump: Dump, spool: Spool | None, answer: datetime, open_engine: OpenEngine) -> "_Splitter":
    if spool is not None:
        spool.begin()
    splitter = _Splitter(dump, answer, spool)
    with open_engine() as engine:
        splitter.read(engine)
    return splitter


@dataclass(frozen=True)
class _Judged:
    """The lines of a buffer, sorted by day, with arrays that have one element per line.

    Days are counted from 1970-01-01. The day of a line without a usable date is UNDATED_DAY. `is_later` says whether
    the updated_at of a line is in the future, and `is_misread` whether bind_lines has rewritten it. `dated` counts the
    lines with a valid created_at, and `future` those whose created_at is in the future. `size` is in bytes.
    """

    lines: pa.LargeBinaryArray
    days: np.ndarray
    is_later: np.ndarray
    is_misread: np.ndarray
    dated: int
    future: int
    size: int


class _Splitter:
    """Sorts buffers of lines by date, and keeps the part of each date: count and id."""

    def __init__(self, dump: Dump, answers_as_of: datetime, spool: Spool | None) -> None:
        fields = dump.shape.fields
        self._dump, self._answers_as_of, self._fit = dump, answers_as_of, Fit(fields)
        self._spool = spool
        self._times = fields.only("created_at", "updated_at") if fields is not None else None
        self._parts: dict[str, Part] = {}
        self._digests: dict[str, Any] = {}
        self._future_updates: dict[str, int] = {}
        # the number of records with a valid created_at, and of those whose created_at is in the future
        self.dated = self.future = 0

    def read(self, engine: Engine) -> None:
        """Judge every line and append it to the spool; a buffer is appended while the next ones are judged."""
        with ThreadPoolExecutor(1) as writer, progress("reading MB of dump", self._dump.size >> 20) as advance:
            pending: Future[None] | None = None
            for judged in engine.map(self._judge, self._buffers(engine)):
                if pending is not None:
                    pending.result()
                pending = writer.submit(self._append, judged)
                advance(judged.size >> 20)
            if pending is not None:
                pending.result()

    def _buffers(self, engine: Engine) -> Iterator[tuple[Lines, bool]]:
        """The lines of each buffer, and whether they are elements of an array."""
        for buffer, is_array in self._dump.records():
            lines = split_lines(buffer)
            self._fit.look(engine, lines, self._answers_as_of)
            yield lines, is_array

    def _judge(self, engine: Engine, buffer: tuple[Lines, bool]) -> _Judged:
        """Judge the lines. In an array, a line that is not JSON raises UnreadableDump."""
        lines, is_array = buffer
        at = same_instant(self._answers_as_of, lines.size)
        misread = bind_lines(engine, lines, answers_as_of=at, fields=self._times)
        if is_array:
            _refuse_syntax_errors(engine, lines, self._dump.path)
        landing = engine.query("landing")
        positions = landing["position"].to_numpy()
        days = np.full(lines.size, UNDATED_DAY, np.int32)
        is_later, is_misread = np.zeros((2, lines.size), bool)
        limit = np.datetime64(self._answers_as_of + FUTURE_TOLERANCE, "us")
        days[positions] = landing["date"].cast(pa.int32()).fill_null(UNDATED_DAY).to_numpy()
        is_later[positions] = landing["updated_at"].to_numpy() > limit
        is_misread[misread] = True
        order = np.argsort(days, kind="stable")
        if not is_array:
            order = order[~_blank(lines, order, days)]
        return _Judged(
            lines.array().take(pa.array(order)),
            days[order],
            is_later[order],
            is_misread[order],
            dated=lines.size - landing["created_at"].null_count,
            future=int((landing["created_at"].to_numpy() > limit).sum()),
            size=lines.buffer.size,
        )

    def _append(self, judged: _Judged) -> None:
        """Append one buffer's lines to the spool."""
        ends = np.frombuffer(judged.lines.buffers()[1], np.int64)
        content = memoryview(judged.lines.buffers()[2] or b"")
        found, firsts = np.unique(judged.days, return_index=True)
        lasts = [*firsts[1:], len(judged.days)] if len(judged.days) else []
        for day, first, last in zip(found, firsts, lasts, strict=True):
            date = UNDATED if day == UNDATED_DAY else str(np.datetime64(int(day), "D"))
            part = self._parts.setdefault(date, Part(plain_by=LOGIC_VERSION))
            records = content[int(ends[first]) : int(ends[last])]
            part.count += int(last - first)
            if judged.is_misread[first:last].any():
                part.plain_by = None
            self._digests.setdefault(date, hashlib.sha256()).update(records)
            self._future_updates[date] = self._future_updates.get(date, 0) + int(judged.is_later[first:last].sum())
            if self._spool is not None:
                with open(self._spool.path(date), "ab") as file:
                    file.write(records)
        self.dated += judged.dated
        self.future += judged.future

    def inventory(self, intent: Intent, *, is_believed: bool) -> Inventory:
        for date, part in self._parts.items():
            future = self._future_updates[date] if date != UNDATED else 0
            part.id = raw_id(self._digests[date].hexdigest(), future)
        answer = self._answers_as_of.strftime(AS_OF_FORMAT)
        has_future = bool(self.future or any(self._future_updates.values()))
        return Inventory(self._dump.key, intent.stamp, answer, is_believed, has_future, self._parts, self._fit.fault)


def _blank(lines: Lines, rows: np.ndarray, days: np.ndarray) -> np.ndarray:
    """One boolean per element of `rows`: its line is blank. Only an undated line can be blank."""
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
                f"{path}: an element of the array is {error}, counted from its start; expected JSON throughout; "
                "nothing was published"
            ) from None
