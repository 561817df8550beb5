"""One JSON record read exactly, by hand: for the few that DuckDB's reader would round, accept or flatten wrongly.

DuckDB keeps JSON numbers as doubles, errs with exponents, accepts NaN and trailing commas, and cannot tell `1` from
`{}` inside `items`. A record that may hold such a thing is rewritten here into one that means the same to the SQL:
numbers become strings of their own text, items hold objects only.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from pipeline.fields import AS_THE_CONTRACT, HUNDREDTHS, MICROSECONDS, Condition, FieldMap, Path, Place

_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<word>true|false|null)|(?P<mark>[{}\[\],:]))",
    re.ASCII,
)
_INTEGER = re.compile(r"-?\d+", re.ASCII)

_PAIRS = {"{": "}", "[": "]"}

IDENTIFIERS = ("order_id", "user_id", "sku")
NUMBERS = ("amount", "qty", "price")
MONEY = ("amount", "price")
_EXPONENT = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d{1,2}", re.ASCII)
_EPOCH = re.compile(r"\d{1,14}(\.\d{1,9})?", re.ASCII)
_HUNDREDTHS = re.compile(r"-?\d{1,18}", re.ASCII)


class NotJson(ValueError):
    """Text that RFC 8259 does not allow; `position` counts characters."""

    def __init__(self, position: int) -> None:
        super().__init__(f"not JSON from character {position} on")
        self.position = position


class NotText(ValueError):
    """JSON by its grammar that is no Unicode text: invalid UTF-8, or a surrogate without its other half."""


@dataclass(frozen=True)
class ExactRecord:
    """A rewritten record: JSON text for the SQL, its metadata minified, how many items were no objects.

    And whether the map excludes it.
    """

    line: str
    metadata: str | None
    dropped_items: int
    excluded: bool


@dataclass(frozen=True)
class _Value:
    """A JSON value: its tokens and, of an object or array near the top, its members' (name, value) in order."""

    tokens: list[str]
    start: int
    end: int
    kind: str
    members: list[tuple[str, "_Value"]]

    @property
    def text(self) -> str:
        return "".join(self.tokens[self.start : self.end])

    def at(self, path: Path) -> "_Value | None":
        """What is at the end of the path: the first of equal names counts."""
        value: _Value | None = self
        for step in path:
            if value is None or value.kind != ("{" if isinstance(step, str) else "["):
                return None
            value = value.member(step)
        return value

    def member(self, step: str | int) -> "_Value | None":
        if isinstance(step, int):
            return self.members[step][1] if step < len(self.members) else None
        return next((value for key, value in self.members if key == step), None)


def rewrite(record: bytes, fields: FieldMap = AS_THE_CONTRACT) -> ExactRecord | None:
    """The record for the SQL; None when it is JSON, but no object. Raises NotJson and NotText."""
    text = _decoded(record)
    value = _read(text)
    if value.kind != "{":
        return None
    names = ("order_id", "user_id", "amount", "currency", "created_at", "updated_at", "status")
    texts = {name: _scalar(name, value, fields[name]) for name in names}
    items = value.at(fields["items"].path)
    elements = [element for _, element in items.members] if items is not None and items.kind == "[" else []
    lines = [element for element in elements if element.kind == "{"]
    texts["items"] = f"[{','.join(_item(line, fields) for line in lines)}]"
    metadata = value.at(fields["metadata"].path)
    return ExactRecord(
        line="{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}",
        metadata=None if metadata is None or metadata.text == "null" else metadata.text,
        dropped_items=len(elements) - len(lines),
        excluded=any(_excludes(condition, value.at(condition.place.path)) for condition in fields.exclude),
    )


def _excludes(condition: Condition, value: _Value | None) -> bool:
    """The condition of mapped_line.sql, with its macro is_set, exactly."""
    if value is None or value.text in ("null", "false"):
        return False
    if condition.values:
        return value.kind == "string" and _characters(value) in condition.values
    if value.kind == "number":
        return Decimal(value.text) != 0
    return value.kind != "string" or _characters(value) not in ("", "false")


def _decoded(record: bytes) -> str:
    """The record as text. The grammar is checked first, so that NotText means JSON but for its characters."""
    try:
        return record.decode()
    except UnicodeDecodeError:
        _read(record.decode(errors="replace"))
        raise NotText("invalid UTF-8") from None


def _item(line: _Value, fields: FieldMap) -> str:
    texts = {name: _scalar(name, line, fields[f"items.{name}"]) for name in ("sku", "qty", "price")}
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"


def _scalar(name: str, record: _Value, place: Place) -> str:
    value = record.at(place.path)
    if value is None:
        return "null"
    if place.form and value.text != "null":
        return _from_epoch(value, MICROSECONDS[place.form]) if place.form != HUNDREDTHS else _from_hundredths(value)
    if name in MONEY and value.kind in ("number", "string"):
        return _money(value)
    if value.kind == "number" and (name in NUMBERS or (name in IDENTIFIERS and _INTEGER.fullmatch(value.text))):
        return f'"{value.text}"'
    return value.text if value.kind in ("string", "word") else "false"


def _characters(value: _Value) -> str:
    return str(json.loads(value.text)) if value.kind == "string" else value.text


def _from_epoch(value: _Value, unit: int) -> str:
    """The macro from_epoch, exactly."""
    text = _characters(value)
    if not _EPOCH.fullmatch(text):
        return "false"
    try:
        instant = datetime(1970, 1, 1) + timedelta(microseconds=int(Decimal(text) * unit))
    except OverflowError:
        return "false"
    return f'"{instant.isoformat(timespec="microseconds")}Z"'


def _from_hundredths(value: _Value) -> str:
    """The macro from_hundredths, exactly."""
    text = _characters(value)
    return f'"{Decimal(text).scaleb(-2):f}"' if _HUNDREDTHS.fullmatch(text) else "false"


def _money(value: _Value) -> str:
    """The number as a string without an exponent, with which DuckDB's decimals overflow or lose digits."""
    text = _characters(value)
    return json.dumps(format(Decimal(text), "f") if _EXPONENT.fullmatch(text) else text)


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, position) of each token; the kind of a mark is the mark itself. Raises NotJson."""
    position = 0
    end = len(text.rstrip(" \t\n\r"))
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotJson(position)
        kind = match.lastgroup or ""
        token = match[kind]
        yield (token if kind == "mark" else kind), token, match.start(kind)
        position = match.end()


def _read(text: str) -> _Value:
    """Parse one JSON text with a stack of its own, since depth is the sender's to choose."""
    texts: list[str] = []
    stack: list[tuple[str, str, int, list[tuple[str, _Value]]]] = [("", "", 0, [])]
    name, expected, halved = "", "value", False
    for kind, token, position in tokens(text):
        texts.append(token)
        opened, _, _, members = stack[-1]
        halved = halved or (kind == "string" and _has_half_surrogate(token))
        if kind == "string" and expected in ("name", "name or end"):
            name, expected = json.loads(token), "colon"
        elif kind == ":" and expected == "colon":
            expected = "value"
        elif kind in ("{", "[") and expected in ("value", "value or end"):
            stack.append((kind, name, len(texts) - 1, []))
            name, expected = "", "name or end" if kind == "{" else "value or end"
        elif kind in ("string", "number", "word") and expected in ("value", "value or end"):
            members.append((name, _Value(texts, len(texts) - 1, len(texts), kind, [])))
            expected = "comma or end" if opened else "nothing"
        elif kind == "," and expected == "comma or end":
            expected = "name" if opened == "{" else "value"
        elif kind in ("}", "]") and expected.endswith("end") and _PAIRS.get(opened) == kind:
            _, name, start, inner = stack.pop()
            stack[-1][3].append((name, _Value(texts, start, len(texts), opened, inner)))
            expected = "comma or end" if stack[-1][0] else "nothing"
        else:
            raise NotJson(position)
    if expected != "nothing":
        raise NotJson(len(text))
    if halved:
        raise NotText("a surrogate without its other half")
    return stack[0][3][0][1]


def _has_half_surrogate(token: str) -> bool:
    if "\\u" not in token:
        return False
    try:
        json.loads(token).encode()
    except UnicodeEncodeError:
        return True
    return False
