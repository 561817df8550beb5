"""Stands in for a record that is too large to keep: one short line that says what the record was."""

import hashlib
import json

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contract import MAX_RECORD_BYTES

STAND_IN = "$too_large"
MARK = f'{{"{STAND_IN}": {{'
HEAD_BYTES = 1000


class TooLarge:
    """Takes the bytes of one record, in pieces. It keeps their number, their hash and the first of them."""

    def __init__(self) -> None:
        self._bytes, self._digest, self._head = 0, hashlib.sha256(), b""

    def add(self, piece: bytes) -> None:
        self._bytes += len(piece)
        self._digest.update(piece)
        self._head += piece[: HEAD_BYTES - len(self._head)]

    @property
    def line(self) -> bytes:
        """The line that stands for the record in raw. `head` is the start of the record, as text."""
        head = self._head.decode(errors="replace")
        stand_in = {"bytes": self._bytes, "sha256": self._digest.hexdigest(), "head": head}
        return json.dumps({STAND_IN: stand_in}).encode() + b"\n"


def raw_line(line: bytes) -> bytes:
    """The line that lands in raw for a record, given as a line with its newline: the same, unless it is too large."""
    if len(line) <= MAX_RECORD_BYTES + 1:
        return line
    found = TooLarge()
    found.add(line[:-1])
    return found.line


def text_of(line: bytes) -> bytes:
    """The text of a record by its line in raw: the line itself, or the head if the record was too large."""
    if not line.startswith(MARK.encode()):
        return line
    try:
        return str(json.loads(line)[STAND_IN]["head"]).encode()
    except (ValueError, KeyError):
        return line


def stands_in(lines: pa.Array) -> pa.Array:
    """One boolean per line of text: the line stands in for a record that was too large."""
    return pc.fill_null(pc.starts_with(lines, MARK), False)
