"""A JSON dump as buffers of records, one a line: an array, NDJSON or {"orders": [...]}; plain, .gz or .zst."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from pipeline.engine import NotJson, NotText, rewrite
from pipeline.errors import SourceUnreadable, UnreadableDump
from pipeline.sources.array_scan import ArrayScan
from pipeline.sources.json_array import opening

READ_BYTES = 24 << 20
COMPRESSION_BY_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EPOCH = datetime(1970, 1, 1)
MAX_MTIME_NS = 1 << 62
SHAPES = 'expected a JSON array, one object per line, or {"orders": [...]}'


@dataclass(frozen=True)
class Dump:
    """A dump file as it is now; two are equal when nothing about the file has changed."""

    path: str
    size: int
    mtime_ns: int

    @property
    def written_at(self) -> datetime:
        """When the file was last written, in naive UTC; no earlier than 1970."""
        return EPOCH + timedelta(microseconds=min(max(self.mtime_ns, 0), MAX_MTIME_NS) // 1000)

    @classmethod
    def at(cls, path: str) -> "Dump":
        """The dump at a path, relative to the working directory. Raises SourceUnreadable."""
        try:
            stat = os.stat(path)
        except OSError as error:
            raise SourceUnreadable(
                f"[orders_api] url = {path}: {error.strerror}; expected the path of a JSON dump"
            ) from None
        if not os.path.isfile(path):
            raise SourceUnreadable(f"[orders_api] url = {path}: not a file; expected the path of a JSON dump")
        return cls(str(Path(path).resolve()), stat.st_size, stat.st_mtime_ns)

    def records(self) -> Iterator[tuple[bytes, bool]]:
        """Buffers of newline-ended records, in the dump's order, and whether they are an array's elements.

        Raises UnreadableDump when the dump is cut off or its frame is not JSON, and SourceUnreadable when the file
        cannot be read or changes meanwhile.
        """
        try:
            with _opened(self.path) as stream:
                yield from _records(stream, self.path)
        except UnreadableDump:
            raise
        except (OSError, pa.ArrowException) as error:
            raise UnreadableDump(f"{self.path}: {error}; expected a whole file; nothing was published") from error
        if Dump.at(self.path) != self:
            raise SourceUnreadable(f"{self.path}: it changed while it was read; nothing was published, run again")


def _opened(path: str) -> pa.NativeFile:
    with open(path, "rb") as file:
        magic = file.read(4)
    for start, compression in COMPRESSION_BY_MAGIC.items():
        if magic.startswith(start):
            return pa.input_stream(path, compression=compression)
    return pa.input_stream(path, compression=None)


def _records(stream: pa.NativeFile, path: str) -> Iterator[tuple[bytes, bool]]:
    head = stream.read(READ_BYTES).removeprefix(BYTE_ORDER_MARK)
    start = len(head) - len(head.lstrip())
    if head[start : start + 1] == b"[":
        for buffer in _elements(head[start:], stream, b"", path):
            yield buffer, True
        return
    array = opening(head[start:], ("orders",))
    if array is not None:
        for buffer in _elements(head[start + array :], stream, head[start : start + array], path):
            yield buffer, True
        return
    for buffer in _lines(head, stream, path):
        yield buffer, False


def _lines(head: bytes, stream: pa.NativeFile, path: str) -> Iterator[bytes]:
    """NDJSON: whole lines; the last one may lack its newline if it is JSON."""
    rest: list[bytes] = []
    while head:
        cut = head.rfind(b"\n") + 1
        if cut:
            yield b"".join((*rest, head[:cut]))
            rest = [head[cut:]]
        else:
            rest.append(head)
        head = stream.read(READ_BYTES)
    last = b"".join(rest)
    if last.strip():
        try:
            rewrite(last)
        except NotText:
            pass
        except NotJson as error:
            raise UnreadableDump(
                f"{path}: its last line is {error} and has no newline, so the dump is cut off; "
                f"{SHAPES}; nothing was published"
            ) from None
        yield last + b"\n"


def _elements(first: bytes, stream: pa.NativeFile, before: bytes, path: str) -> Iterator[bytes]:
    """The elements of an array, one a line; `before` is what precedes the array in its object, if it is in one."""
    scan = ArrayScan()
    data = first
    while data and not scan.closed:
        yield scan.feed(data)
        data = stream.read(READ_BYTES)
    if not scan.closed:
        raise UnreadableDump(
            f"{path}: the array is not closed at the end of the file, so the dump is cut off; "
            f"{SHAPES}; nothing was published"
        )
    after = scan.rest + data + stream.read()
    try:
        rewrite(before + b"[" + after)
    except (NotJson, NotText):
        raise UnreadableDump(
            f"{path}: not JSON around the array of orders ({len(after)} bytes follow it); {SHAPES}; "
            "nothing was published"
        ) from None
