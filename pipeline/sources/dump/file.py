"""A JSON dump as buffers of records, one per line: an array, NDJSON or an object with an array; plain, .gz or .zst."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.engine import NotJson, NotText, rewrite
from pipeline.errors import SourceUnreadable, UnreadableDump
from pipeline.fields import AS_THE_CONTRACT, path_text
from pipeline.sources.array_scan import ArrayScan
from pipeline.sources.json_array import first_array_of_objects, opening
from pipeline.sources.raw import ORDERS_AT, Shape
from pipeline.sources.record_lines import RecordLines

READ_BYTES = 24 << 20
COMPRESSION_BY_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EPOCH = datetime(1970, 1, 1)
MAX_MTIME_NS = 1 << 62
# how much of an object is searched for an array of objects
ENVELOPE_BYTES = 1 << 20


@dataclass(frozen=True)
class Dump:
    """A dump file in its present state. Two are equal if path, size, mtime and shape are."""

    path: str
    size: int
    mtime_ns: int
    shape: Shape

    @property
    def _expected(self) -> str:
        array = f"an object with an array at {path_text(self.shape.records)}"
        return f"expected a JSON array, one object per line, or {array} ([orders_api] records)"

    @property
    def key(self) -> dict[str, Any]:
        """Identifies what reading the dump gives: two dumps with equal keys give equal records."""
        fields, records = self.shape.fields, self.shape.records
        read_by = {"fields": fields.digest} if fields is not None else {}
        if records != ORDERS_AT:
            read_by["records"] = path_text(records)
        return {"path": self.path, "size": self.size, "mtime_ns": self.mtime_ns} | read_by

    @property
    def written_at(self) -> datetime:
        """When the file was last written, in naive UTC; no earlier than 1970."""
        return EPOCH + timedelta(microseconds=min(max(self.mtime_ns, 0), MAX_MTIME_NS) // 1000)

    @classmethod
    def at(cls, shape: Shape) -> "Dump":
        """The dump at the path of a shape, relative to the working directory. Raises SourceUnreadable."""
        path = shape.url
        try:
            stat = os.stat(path)
        except OSError as error:
            raise SourceUnreadable(
                f"[orders_api] url = {path}: {error.strerror}; expected the path of a JSON dump"
            ) from None
        if not os.path.isfile(path):
            raise SourceUnreadable(f"[orders_api] url = {path}: not a file; expected the path of a JSON dump")
        return cls(resolved(path), stat.st_size, stat.st_mtime_ns, shape)

    def records(self) -> Iterator[tuple[bytes, bool]]:
        """Buffers of newline-ended records, in the dump's order, and whether they are an array's elements.

        Raises UnreadableDump if the file cannot be read, is cut off, or is not JSON around its records. Raises
        SourceUnreadable if the file is deleted or changes meanwhile.
        """
        try:
            with _opened(self.path) as stream:
                yield from self._records(stream)
        except UnreadableDump:
            raise
        except (OSError, pa.ArrowException) as error:
            raise UnreadableDump(f"{self.path}: {error}; expected a whole file; nothing was published") from error
        if Dump.at(self.shape) != self:
            raise SourceUnreadable(f"{self.path}: the file changed while it was read; nothing was published; run again")

    def _records(self, stream: pa.NativeFile) -> Iterator[tuple[bytes, bool]]:
        head = stream.read(READ_BYTES).removeprefix(BYTE_ORDER_MARK)
        start = len(head) - len(head.lstrip())
        array = 0 if head[start:].startswith(b"[") else opening(head, self.shape.records)
        if not array and head[start:]:
            self._refuse_other_place()
        if array is None:
            self._refuse_envelope(head[start : start + ENVELOPE_BYTES])
            for buffer in self._lines(head, stream):
                yield buffer, False
        else:
            array = array or start
            for buffer in self._elements(head[array:], stream, head[:array]):
                yield buffer, True

    def _refuse_other_place(self) -> None:
        """Raises UnreadableDump if luigi.cfg itself sets the path of the array, and the dump has no array there."""
        if self.shape.insists and self.shape.records:
            raise UnreadableDump(
                f"{self.path}: nothing at [orders_api] records = {path_text(self.shape.records)}; remove that setting "
                "if the dump is an array or one object per line, else set the path of its array; nothing was published"
            )

    def _refuse_envelope(self, head: bytes) -> None:
        """Raises UnreadableDump for one object that is no order but holds an array of objects, as a response does."""
        first, _, rest = head.partition(b"\n")
        if (rest.strip() and _is_json(first)) or (len(head) < ENVELOPE_BYTES and not _is_json(head)):
            return
        order_id = (self.shape.fields or AS_THE_CONTRACT)["order_id"].path
        array = first_array_of_objects(head, unless=order_id)
        if array is not None:
            raise UnreadableDump(
                f"{self.path}: the dump is one object that has no order_id at {path_text(order_id)} but an array of "
                f"objects at {path_text(array)}; {self._expected}; nothing was published"
            )

    def _lines(self, head: bytes, stream: pa.NativeFile) -> Iterator[bytes]:
        """NDJSON: whole lines; the last one may lack its newline if it is JSON."""
        lines = RecordLines()
        while head:
            yield lines.feed(head)
            head = stream.read(READ_BYTES)
        fault = lines.fault()
        if fault:
            raise UnreadableDump(
                f"{self.path}: its last line is {fault} and has no newline, so the dump is cut off; "
                f"{self._expected}; nothing was published"
            )
        yield lines.last()

    def _elements(self, first: bytes, stream: pa.NativeFile, before: bytes) -> Iterator[bytes]:
        """The elements of an array, one per line. `before` is the text before the array, if an object encloses it."""
        scan, lines = ArrayScan(), RecordLines()
        data = first
        while data and not scan.closed:
            yield lines.feed(scan.feed(data))
            data = stream.read(READ_BYTES)
        if not scan.closed:
            raise UnreadableDump(
                f"{self.path}: the array is not closed at the end of the file, so the dump is cut off; "
                f"{self._expected}; nothing was published"
            )
        after = scan.rest + data + stream.read()
        try:
            rewrite(before + b"[" + after)
        except (NotJson, NotText):
            raise UnreadableDump(
                f"{self.path}: the text around the array of orders is not JSON ({len(after)} bytes follow the array); "
                f"{self._expected}; nothing was published"
            ) from None


def resolved(path: str) -> str:
    """The absolute path of a dump, as manifests have it."""
    return str(Path(path).resolve())


def _is_json(line: bytes) -> bool:
    try:
        rewrite(line)
    except NotText:
        return True
    except NotJson:
        return False
    return True


def _opened(path: str) -> pa.NativeFile:
    with open(path, "rb") as file:
        magic = file.read(4)
    for start, compression in COMPRESSION_BY_MAGIC.items():
        if magic.startswith(start):
            return pa.input_stream(path, compression=compression)
    return pa.input_stream(path, compression=None)
