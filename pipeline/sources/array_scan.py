"""Cuts a JSON array into its elements, one per line, in one vectorised pass over buffers of any size."""

import numpy as np

QUOTE, BACKSLASH, NEWLINE, SPACE, COMMA, OPENING, CLOSING = (ord(char) for char in '"\\\n ,[]')
BLANKS = b" \t\n\r"
# a buffer is never cut after these bytes, because their meaning depends on the bytes that follow
RUNS = BLANKS + b"\\"
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
    """Feed it the bytes of an array, from the opening bracket on. It does not check whether an element is JSON.

    What it gives, joined, has one element per line. A single piece may end in the middle of an element.
    Line breaks between the tokens of an element become spaces. Line breaks in a string are a syntax error and stay.
    Blanks around an element are removed. `closed` is True once the closing bracket was seen. `rest` is then the text
    from the closing bracket on.
    """

    def __init__(self) -> None:
        self.closed = False
        self.rest = b""
        self._depth = 0
        self._in_string = False
        self._held = b""
        self._empty = True
        self._last = OPENING

    def feed(self, data: bytes) -> bytes:
        """The text of the elements in this buffer. A newline follows each element that the buffer completes."""
        done: list[bytes] = []
        for start in range(0, len(data), STEP_BYTES):
            done.append(self._step(data[start : start + STEP_BYTES]))
            if self.closed:
                self.rest += data[start + STEP_BYTES :]
                break
        return b"".join(done)

    def _step(self, data: bytes) -> bytes:
        data = self._held + data
        whole = len(data.rstrip(RUNS))
        data, self._held = data[:whole], data[whole:]
        if not data:
            return b""
        view = np.frombuffer(data, np.uint8).copy()
        watched = np.flatnonzero(_WATCHED[view])
        kinds = view[watched]
        quotes = kinds == QUOTE
        quotes[quotes] = ~_escaped(view, watched[quotes])
        opened = np.cumsum(quotes) + self._in_string
        outside = (opened & 1 == 0) & ~quotes
        steps = np.where(outside, _DEPTH[kinds], 0)
        depth = self._depth + np.cumsum(steps, dtype=np.int64)
        if len(watched):
            self._in_string, self._depth = bool(opened[-1] & 1), int(depth[-1])
        end = np.flatnonzero(outside & (steps < 0) & (depth == 0))
        cut = len(view)
        if len(end):
            self.closed, cut = True, int(watched[end[0]])
            self.rest = data[cut:] + self._held
        view[watched[outside & _LINE_BREAK[kinds]]] = SPACE
        between = outside & (depth == 1) & (watched < cut)
        opening = watched[between & (steps > 0)]
        separators = watched[between & (kinds == COMMA)]
        left_out = np.concatenate((opening, self._around(view, watched[between & _BLANK[kinds]])))
        self._last = int(view[-1])
        return self._lines(view[:cut], separators=separators, left_out=left_out)

    def _around(self, view: np.ndarray, blanks: np.ndarray) -> np.ndarray:
        """The blanks that lie next to a separator or a bracket of the array, that is, around an element."""
        if not len(blanks):
            return blanks
        starts = np.flatnonzero(np.diff(blanks, prepend=-2) != 1)
        ends = np.append(starts[1:], len(blanks)) - 1
        before = np.where(blanks[starts] > 0, view[blanks[starts] - 1], self._last)
        after = view[blanks[ends] + 1]
        outer = (before == COMMA) | (before == OPENING) | (after == COMMA) | (after == CLOSING)
        chosen: np.ndarray = blanks[np.repeat(outer, ends - starts + 1)]
        return chosen

    def _lines(self, view: np.ndarray, *, separators: np.ndarray, left_out: np.ndarray) -> bytes:
        """The text. Separators become newlines; the positions in `left_out` are removed."""
        view[separators] = NEWLINE
        keep = np.ones(len(view), bool)
        keep[left_out] = False
        text = view[keep].tobytes()
        self._empty = self._empty and not text
        return text + b"\n" if self.closed and not self._empty else text


def _escaped(view: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """One boolean per quote: it follows an odd number of backslashes."""
    after_backslash: np.ndarray = (quotes > 0) & (view[quotes - 1] == BACKSLASH)
    if not after_backslash.any():
        return after_backslash
    backslashes = np.flatnonzero(view == BACKSLASH)
    starts = np.flatnonzero(np.diff(backslashes, prepend=-2) != 1)
    run_of = np.searchsorted(backslashes[starts], quotes[after_backslash]) - 1
    lengths = quotes[after_backslash] - backslashes[starts][run_of]
    escaped: np.ndarray = after_backslash.copy()
    escaped[after_backslash] = lengths % 2 == 1
    return escaped
