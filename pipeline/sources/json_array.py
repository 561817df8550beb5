"""Where, in JSON text, the array at a path opens; nothing behind that place is read."""

import json

from pipeline.engine import NotJson, tokens
from pipeline.fields import Path


def opening(data: bytes, path: Path) -> int | None:
    """The position of the bracket that opens the array; None when the text does not come to such an array."""
    # the text's position in each container that is open: a name, or the number of elements before it
    at: list[str | int] = []
    kinds: list[str] = []
    name, named = "", False
    try:
        for kind, token, position in tokens(data.decode("latin-1")):
            if kind == "[" and tuple(at) == path:
                return position
            if kind in "{[":
                kinds.append(kind)
                at.append("" if kind == "{" else 0)
            elif kind in "}]":
                kinds.pop()
                at.pop()
            elif kind == ",":
                at[-1] = at[-1] + 1 if isinstance(at[-1], int) else ""
            elif kind == "string" and kinds and kinds[-1] == "{" and not named:
                name = json.loads(token.encode("latin-1"))
            if kind == ":":
                at[-1] = name
            named = kind == ":"
            if not kinds:
                return None
    except (NotJson, IndexError, UnicodeDecodeError):
        return None
    return None
