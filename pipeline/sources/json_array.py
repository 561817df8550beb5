"""Where arrays open in JSON text; nothing behind the place that is looked for is read."""

import json
from collections.abc import Iterator

from pipeline.engine import NotJson, tokens
from pipeline.fields import Path

PUNCTUATION, OPENS_A_VALUE = ("}", "]", ",", ":"), ("{", "[", ",", ":")
# a value behind another one without a comma, as where a line of NDJSON is cut off and the next one follows
MISPLACED = "misplaced"


def opening(data: bytes, path: Path) -> int | None:
    """The position of the bracket that opens the array at a path; None when the text does not come to such an array."""
    return next((position for kind, at, position in _values(data) if kind == "[" and at == path), None)


def first_array_of_objects(data: bytes, *, unless: Path) -> Path | None:
    """Where the first array of objects is; None without one, and in an object that has a text or number at `unless`."""
    found, array = None, None
    for kind, at, _ in _values(data):
        if kind == MISPLACED or (at == unless and kind in ("string", "number")):
            return None
        if found is None and kind == "{" and array is not None and at == (*array, 0):
            found = array
        array = at if kind == "[" else None
    return found


def _values(data: bytes) -> Iterator[tuple[str, Path, int]]:
    """(kind, path, position) of each value of the first JSON value and of itself, as far as it is JSON."""
    # the text's position in each container that is open: a name, or the number of elements before it
    at: list[str | int] = []
    kinds: list[str] = []
    name, before = "", ","
    try:
        for kind, token, position in tokens(data.decode("latin-1")):
            if kind not in PUNCTUATION and before not in OPENS_A_VALUE:
                yield MISPLACED, tuple(at), position
            if kind == "string" and kinds and kinds[-1] == "{" and before != ":":
                name = json.loads(token.encode("latin-1"))
            elif kind not in PUNCTUATION:
                yield kind, tuple(at), position
            if kind in "{[":
                kinds.append(kind)
                at.append("" if kind == "{" else 0)
            elif kind in "}]":
                kinds.pop()
                at.pop()
            elif kind in ",:":
                of_object = name if kind == ":" else ""
                at[-1] = at[-1] + 1 if isinstance(at[-1], int) else of_object
            before = kind
            if not kinds:
                return
    except (NotJson, IndexError, UnicodeDecodeError):
        return
