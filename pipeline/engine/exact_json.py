"""A small strict JSON reader for the few records that DuckDB's reader would round, accept or flatten wrongly.

DuckDB keeps JSON numbers as doubles, misreads exponents, accepts NaN and trailing commas, and cannot distinguish `1`
from `{}` inside `items`. This module rewrites such a record into one that has the same meaning for the SQL: numbers
become strings of their own text, and items hold only objects.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from pipeline.currencies import decimals_of
from pipeline.fields import (
    AS_THE_CONTRACT,
    DECIMALS,
    HUNDREDTHS,
    MICROSECONDS,
    PARENT,
    RFC2822,
    UNLESS_ZERO,
    WITHOUT_CHILDREN,
    Condition,
    FieldMap,
    Path,
    Place,
)

# possessive repetitions: to go back, re would note each character of a string that has no end
_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<string>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")'
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
_MINOR_UNITS = re.compile(r"-?\d{1,18}", re.ASCII)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_RFC2822 = re.compile(
    rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?(\d{{1,2}}) ({'|'.join(_MONTHS)}) (\d{{4}}) (\d\d:\d\d(?::\d\d)?) "
    r"([+-]\d{4}|GMT|UT)",
    re.ASCII,
)


class NotJson(ValueError):
    """Text that RFC 8259 does not allow. `position` is the first wrong character, counted from 0."""

    def __init__(self, position: int) -> None:
        super().__init__(f"not JSON from character {position} on")
        self.position = position


class NotText(ValueError):
    """Text with valid JSON grammar but invalid Unicode: bad UTF-8, or half of a surrogate pair."""


@dataclass(frozen=True)
class ExactRecord:
    """A rewritten record. `line` is JSON text for the SQL, `metadata` is minified JSON text.

    `dropped_items` counts the items that are not objects. `excluded`: the map excludes the order.
    """

    line: str
    metadata: str | None
    dropped_items: int
    excluded: bool


@dataclass(frozen=True)
class _Value:
    """A JSON value: its tokens, and the (name, value) members of an object or array in their order."""

    tokens: list[str]
    start: int
    end: int
    kind: str
    members: list[tuple[str, "_Value"]]

    @property
    def text(self) -> str:
        return "".join(self.tokens[self.start : self.end])

    def at(self, path: Path) -> "_Value | None":
        """The value at the end of the path; None if there is none. Of equal names the first counts."""
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
    """The record rewritten for the SQL; None if it is JSON but not an object. Raises NotJson and NotText."""
    text = _decoded(record)
    value = _read(text)
    if value.kind != "{":
        return None
    names = ("order_id", "user_id", "amount", "currency", "created_at", "updated_at", "status")
    currency = value.at(fields["currency"].path)
    code = _characters(currency) if currency is not None and currency.kind == "string" else None
    texts = {name: _scalar(name, value, fields[name], code) for name in names}
    items = value.at(fields["items"].path)
    elements = [element for _, element in items.members] if items is not None and items.kind == "[" else []
    lines = [element for element in elements if element.kind == "{"]
    shown = [line for line in lines if fields["items"].form != WITHOUT_CHILDREN or not _is_child(line)]
    texts["items"] = f"[{','.join(_item(line, fields, code) for line in shown)}]"
    metadata = value.at(fields["metadata"].path)
    return ExactRecord(
        line="{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}",
        metadata=None if metadata is None or metadata.text == "null" else metadata.text,
        dropped_items=len(elements) - len(lines),
        excluded=any(_excludes(condition, value.at(condition.place.path)) for condition in fields.exclude),
    )


def _excludes(condition: Condition, value: _Value | None) -> bool:
    """Whether the order is excluded: the same rule as in mapped_line.sql and its macro is_set."""
    if value is None or value.text == "null":
        return False
    if condition.values:
        return value.kind not in "{[" and _characters(value) in condition.values
    if value.text == "false":
        return False
    if value.kind == "number":
        return Decimal(value.text) != 0
    return value.kind != "string" or _characters(value) not in ("", "false")


def _decoded(record: bytes) -> str:
    """The record as text. Raises NotText only if the grammar is valid; otherwise NotJson."""
    try:
        return record.decode()
    except UnicodeDecodeError:
        _read(record.decode(errors="replace"))
        raise NotText("invalid UTF-8") from None


def _item(line: _Value, fields: FieldMap, currency: str | None) -> str:
    texts = {name: _scalar(name, line, fields[f"items.{name}"], currency) for name in ("sku", "qty", "price")}
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"


def _is_child(line: _Value) -> bool:
    """The same rule as in the macro without_children."""
    parent = line.at(PARENT)
    return parent is not None and parent.text != "null"


def _scalar(name: str, record: _Value, place: Place, currency: str | None) -> str:
    value = record.at(place.path)
    if value is None or (place.form == UNLESS_ZERO and _characters(value) == "0"):
        return "null"
    if value.text != "null":
        if place.form in MICROSECONDS:
            return _from_epoch(value, MICROSECONDS[place.form])
        if place.form == RFC2822:
            return _from_rfc2822(value)
        if place.form == HUNDREDTHS:
            return _from_minor_units(value, 2)
        if place.form in DECIMALS:
            return _from_minor_units(value, decimals_of(currency, DECIMALS[place.form]))
    if name in MONEY and value.kind in ("number", "string"):
        return _money(value)
    if value.kind == "number" and (name in NUMBERS or (name in IDENTIFIERS and _INTEGER.fullmatch(value.text))):
        return f'"{value.text}"'
    return value.text if value.kind in ("string", "word") else "false"


def _characters(value: _Value) -> str:
    return str(json.loads(value.text)) if value.kind == "string" else value.text


def _from_epoch(value: _Value, unit: int) -> str:
    """The same rule as in the macro from_time."""
    text = _characters(value)
    if not _EPOCH.fullmatch(text):
        return "false"
    try:
        instant = datetime(1970, 1, 1) + timedelta(microseconds=int(Decimal(text) * unit))
    except OverflowError:
        return "false"
    return f'"{instant.isoformat(timespec="microseconds")}Z"'


def _from_rfc2822(value: _Value) -> str:
    """The same rule as in the macro from_rfc2822."""
    match = _RFC2822.fullmatch(_characters(value))
    if match is None:
        return "false"
    day, month, year, time, zone = match.groups()
    return f'"{year}-{_MONTHS.index(month) + 1:02}-{day:0>2}T{time}{"Z" if zone.isalpha() else zone}"'


def _from_minor_units(value: _Value, decimals: int | None) -> str:
    """The same rule as in the macro from_minor_units."""
    text = _characters(value)
    is_one = decimals is not None and _MINOR_UNITS.fullmatch(text)
    return f'"{Decimal(text).scaleb(-(decimals or 0)):f}"' if is_one else "false"


def _money(value: _Value) -> str:
    """The number as a string without an exponent. With an exponent, DuckDB's decimals overflow or lose digits."""
    text = _characters(value)
    return json.dumps(format(Decimal(text), "f") if _EXPONENT.fullmatch(text) else text)


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, position) of each token. The kind of a mark such as `{` is the mark itself. Raises NotJson."""
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
    """Parse one JSON text. The stack is a list, because a deeply nested record would exhaust Python's own stack."""
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
        raise NotText("half of a surrogate pair")
    return stack[0][3][0][1]


def _has_half_surrogate(token: str) -> bool:
    if "\\u" not in token:
        return False
    try:
        json.loads(token).encode()
    except UnicodeEncodeError:
        return True
    return False
