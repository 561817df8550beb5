"""Finds the start of an array in JSON text. The text after that start is not read."""

import json
from collections.abc import Iterator

from pipeline.engine import NotJson, tokens
from pipeline.fields import Path

PUNCTUATION, OPENS_A_VALUE = ("}", "]", ",", ":"), ("{", "[", ",", ":")
# a value that follows another value without a comma, as after a line of NDJSON that is cut off
MISPLACED = "misplaced"


def opening(data: bytes, path: Path) -> int | None:
    """The byte position of the bracket that opens the array at a path. None if there is no such array."""
    return next((position for kind, at, position in _values(data) if kind == "[" and at == path), None)


def first_array_of_objects(data: bytes, *, unless: Path) -> Path | None:
    """The path of the first array of objects. None without one, or if a string or number is at the path `unless`."""
    found, array = None, None
    for kind, at, _ in _values(data):
        if kind == MISPLACED or (at == unless and kind in ("string", "number")):
            return None
        if found is None and kind == "{" and array is not None and at == (*array, 0):
            found = array
        array = at if kind == "[" else None
    return found


def _values(data: bytes) -> Iterator[tuple[str, Path, int]]:
    """(kind, path, byte position) of the first JSON value and of each value in it. Stops at a syntax error."""
    # for each open container, the name of the current member or the index of the current element
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
