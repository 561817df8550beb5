"""Joins pieces of text to whole lines, one per record. A record that is too large is never held in memory."""

from pipeline.contract import MAX_RECORD_BYTES
from pipeline.engine import NotJson, NotText, TooLarge, rewrite
from pipeline.sources.array_scan import ArrayScan


class RecordLines:
    """Feed it text in pieces of any size. A newline ends a record; a stand-in replaces a record that is too large."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._large: _Large | None = None

    def feed(self, data: bytes) -> bytes:
        """The lines that this piece completes."""
        done: list[bytes | memoryview] = []
        view, at = memoryview(data), 0
        while at < len(data):
            room = 0 if self._large else MAX_RECORD_BYTES - self._size + 1
            # lines that end within the room of one record are not too large
            end = data.rfind(b"\n", at, at + room) + 1
            if end:
                done += [*self._held, view[at:end]]
                self._held, self._size = [], 0
            else:
                end = data.find(b"\n", at) + 1
                self._hold(data[at : end - 1] if end else data[at:])
                done.append(self._replaced() if end else b"")
            at = end or len(data)
        return b"".join(done)

    def fault(self) -> str | None:
        """Why the text after the last newline is no record. None if it is one, or blank."""
        if self._large:
            return None if self._large.is_closed() else "a record that is not closed"
        last = b"".join(self._held)
        try:
            if last.strip():
                rewrite(last)
        except NotText:
            return None
        except NotJson as error:
            return str(error)
        return None

    def last(self) -> bytes:
        """The record after the last newline, as a line. Empty if nothing but blanks is there."""
        return self.feed(b"\n") if self._large or b"".join(self._held).strip() else b""

    def _hold(self, piece: bytes) -> None:
        """Keep a piece of the record under way, unless the record is too large by now."""
        self._size += len(piece)
        if self._large is None and self._size > MAX_RECORD_BYTES:
            self._large = _Large()
            for held in self._held:
                self._large.add(held)
            self._held = []
        if self._large:
            self._large.add(piece)
        else:
            self._held.append(piece)

    def _replaced(self) -> bytes:
        """The stand-in of the record under way, which ends here."""
        if self._large is None:
            raise RuntimeError("a record that is not too large was cut")
        line = self._large.line
        self._large, self._size = None, 0
        return line


class _Large(TooLarge):
    """A record that is too large, of which only its brackets and strings are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._scan = ArrayScan()
        self._scan.feed(b"[")

    def add(self, piece: bytes) -> None:
        super().add(piece)
        self._scan.feed(piece)

    def is_closed(self) -> bool:
        """Whether each bracket and each string is closed. The record can take no more pieces then."""
        self._scan.feed(b"]")
        return self._scan.closed and self._scan.rest == b"]"
