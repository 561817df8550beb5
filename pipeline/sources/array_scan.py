"""Cuts a JSON array into its elements, one a line, in one vectorised pass over buffers of any size."""

import numpy as np

QUOTE, BACKSLASH, NEWLINE, SPACE, COMMA = (ord(char) for char in '"\\\n ,')
BLANKS = b" \t\n\r"
STEP_BYTES = 2 << 20

_DEPTH = np.zeros(256, np.int8)
_DEPTH[[ord(char) for char in "{["]] = 1
_DEPTH[[ord(char) for char in "}]"]] = -1
_WATCHED = _DEPTH != 0
_WATCHED[[QUOTE, COMMA, *BLANKS]] = True
_LINE_BREAK = np.zeros(256, bool)
_LINE_BREAK[[ord("\n"), ord("\r")]] = True
_BLANK = np.zeros(256, bool)
_BLANK[list(BLANKS)] = True


class ArrayScan:
    """Feed it an array from its opening bracket on. Whether each element is JSON is for the reader of the lines.

    Line breaks inside an element become spaces (JSON allows none inside strings); blanks around it go. `closed` is
    True once the array's closing bracket was seen; `rest` is then what
    follows the last element, that bracket included.
    """

    def __init__(self) -> None:
        self.closed = False
        self.rest = b""
        self._depth = 0
        self._in_string = False
        self._held = b""
        self._empty = True
        self._unfinished = b""

    def feed(self, data: bytes) -> bytes:
        """The elements that this buffer completes, each ended by a newline."""
        done = []
        for start in range(0, len(data), STEP_BYTES):
            done.append(self._step(data[start : start + STEP_BYTES]))
            if self.closed:
                self.rest += data[start + STEP_BYTES :]
                break
        return b"".join(done)

    def _step(self, data: bytes) -> bytes:
        data = self._held + data
        whole = len(data) - _trailing_backslashes(data)
        data, self._held = data[:whole], data[whole:]
        view = np.frombuffer(data, np.uint8).copy()
        watched = np.flatnonzero(_WATCHED[view])
        kinds = view[watched]
        quotes = kinds == QUOTE
        quotes[quotes] = ~_escaped(view, watched[quotes])
        opened = np.cumsum(quotes) + self._in_string
        outside = (opened & 1 == 0) & ~quotes
        steps = np.where(outside, _DEPTH[kinds], 0)
        depth = self._depth + np.cumsum(steps, dtype=np.int64)
        self._in_string = bool(opened[-1] & 1) if len(opened) else self._in_string
        self._depth = int(depth[-1]) if len(depth) else self._depth
        end = np.flatnonzero(outside & (steps < 0) & (depth == 0))
        cut = len(view)
        if len(end):
            self.closed, cut = True, int(watched[end[0]])
            self.rest = data[cut:] + self._held
        opening = outside & (steps > 0) & (depth == 1)
        between = outside & (depth == 1) & (watched < cut)
        return self._lines(
            view[:cut],
            separators=watched[between & (kinds == COMMA)],
            left_out=watched[between & (_BLANK[kinds] | opening)],
        )

    def _lines(self, view: np.ndarray, *, separators: np.ndarray, left_out: np.ndarray) -> bytes:
        """Separators become newlines; the array's opening bracket and the blanks between elements are left out."""
        view[_LINE_BREAK[view]] = SPACE
        view[separators] = NEWLINE
        keep = np.ones(len(view), bool)
        keep[left_out] = False
        self._empty = self._empty and not len(separators)
        text = self._unfinished + view[keep].tobytes()
        if self.closed:
            return b"" if self._empty and not text else text + b"\n"
        done = text.rfind(b"\n") + 1
        self._unfinished = text[done:]
        return text[:done]


def _trailing_backslashes(data: bytes) -> int:
    return len(data) - len(data.rstrip(b"\\"))


def _escaped(view: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Which quotes follow an odd run of backslashes."""
    after_backslash = (quotes > 0) & (view[quotes - 1] == BACKSLASH)
    if not after_backslash.any():
        return after_backslash
    backslashes = np.flatnonzero(view == BACKSLASH)
    starts = np.flatnonzero(np.diff(backslashes, prepend=-2) != 1)
    run_of = np.searchsorted(backslashes[starts], quotes[after_backslash]) - 1
    lengths = quotes[after_backslash] - backslashes[starts][run_of]
    escaped = after_backslash.copy()
    escaped[after_backslash] = lengths % 2 == 1
    return escaped
