"""Splits a dump by date into one file, in one pass, and makes its inventory."""

import hashlib
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, BinaryIO

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
from pipeline.lake import AS_OF_FORMAT, Intent, Run, raw_id, shown
from pipeline.prefetching import prefetched
from pipeline.progress import progress
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.inventory import Inventory, Part, moment_of_dump

UNDATED_DAY = np.iinfo(np.int32).max


def split_by_date(dump: Dump, path: str, run: Run, is_believed: bool) -> Inventory:
    """Write the dump's records to the file at `path`, sorted by date in each buffer; returns the dump's inventory.

    `is_believed` says whether the dump's mtime counts as the time when the dump was written. A copied or unpacked file
    may have an mtime that is too early. If more than half of the dated records are in the future of the mtime, the dump
    is read once more as if it were written now. Raises UnreadableDump and SourceUnreadable.
    """
    answer = moment_of_dump(dump, run.intent) if is_believed else run.intent.as_of
    splitter = _read_into(dump, path, answer, run.open_engine)
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
        splitter = _read_into(dump, path, run.intent.as_of, run.open_engine)
    return splitter.inventory(run.intent, is_believed=is_believed)


def _read_into(dump: Dump, path: str, answer: datetime, open_engine: OpenEngine) -> "_Splitter":
    splitter = _Splitter(dump, answer)
    with open(path, "wb") as spool, open_engine() as engine:
        splitter.read(engine, spool)
    return splitter


class _Splitter:
    """Sorts buffers of lines by date, and keeps the part of each date: count, id and segments."""

    def __init__(self, dump: Dump, answers_as_of: datetime) -> None:
        fields = dump.shape.fields
        self._dump, self._answers_as_of, self._fit = dump, answers_as_of, Fit(fields)
        self._times = fields.only("created_at", "updated_at") if fields is not None else None
        self._parts: dict[str, Part] = {}
        self._digests: dict[str, Any] = {}
        self._future_updates: dict[str, int] = {}
        # the number of records with a valid created_at, and of those whose created_at is in the future
        self.dated = self.future = 0

    def read(self, engine: Engine, spool: BinaryIO) -> None:
        """Judge every line and append it to the spool; a buffer is appended while the next one is judged."""
        buffers = ((split_lines(buffer), is_array) for buffer, is_array in self._dump.records())
        with ThreadPoolExecutor(1) as writer, progress("reading MB of dump", self._dump.size >> 20) as advance:
            pending: Future[None] | None = None
            for lines, is_array in prefetched(buffers):
                judged = self._judge(engine, lines, array_in=self._dump.path if is_array else None)
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
        """Judge the lines. Returns three arrays with one element per line.

        They are: the day of the line, whether its updated_at is in the future, and whether bind_lines has rewritten it.
        Days are counted from 1970-01-01. The day of a line without a usable date is UNDATED_DAY. If the dump is an
        array, `array_in` is its path, and a line that is not JSON raises UnreadableDump.
        """
        self._fit.look(engine, lines, self._answers_as_of)
        rewritten = bind_lines(
            engine,
            lines,
            answers_as_of=same_instant(self._answers_as_of, lines.size),
            fields=self._times,
        )
        if array_in is not None:
            _refuse_syntax_errors(engine, lines, array_in)
        landing = engine.query("landing")
        days = np.full(lines.size, UNDATED_DAY, np.int32)
        has_future_update, exact = np.zeros((2, lines.size), bool)
        exact[rewritten] = True
        limit = np.datetime64(self._answers_as_of + FUTURE_TOLERANCE, "us")
        positions = landing["position"].to_numpy()
        days[positions] = landing["date"].cast(pa.int32()).fill_null(UNDATED_DAY).to_numpy()
        self.dated += lines.size - landing["created_at"].null_count
        self.future += int((landing["created_at"].to_numpy() > limit).sum())
        has_future_update[positions] = landing["updated_at"].to_numpy() > limit
        return days, has_future_update, exact

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
