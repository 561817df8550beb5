"""An independent implementation of the contract and the laws in plain Python, to compare the pipeline with."""

import datetime as dt
import json
import math
import re
from collections import Counter
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

BLANK = " \t\n\r\f\v"
FIRST, END = dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)
DAY = dt.timedelta(days=1)

# JSON: RFC 8259, the first of duplicate keys, numbers by their own text, any depth -----------------------------------

_TOKEN = re.compile(
    r"[ \t\n\r]+|(?P<mark>[\[\]{}:,])|(?P<literal>true|false|null)"
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r'|(?P<string>"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*)*")|(?P<bad>.)',
    re.DOTALL,
)


class Number(NamedTuple):
    text: str


class Malformed(NamedTuple):
    why: str


def _scalar(kind: str, token: str) -> Any:
    if kind == "number":
        return Number(token)
    value = json.loads(token)
    if kind == "string":
        value.encode("utf-8")  # a lone surrogate is no text: it raises a ValueError
    return value


def read_json(text: str) -> Any:
    """dict, list, str, Number, bool or None; ValueError when the text is not JSON."""
    stack: list = [[]]  # the open containers; the first one is not in the text and holds the one value
    key, expected = None, "value"
    for found in _TOKEN.finditer(text):
        kind, token = found.lastgroup, found[0]
        in_object, in_array = isinstance(stack[-1], dict), isinstance(stack[-1], list) and len(stack) > 1
        if kind is None:
            continue  # white space
        elif kind == "string" and expected in ("key", "key or }"):
            key, expected = _scalar(kind, token), ":"
        elif token == ":" and expected == ":":
            expected = "value"
        elif (kind in ("literal", "number", "string") or token in ("{", "[")) and expected in ("value", "value or ]"):
            value = {} if token == "{" else [] if token == "[" else _scalar(kind, token)
            stack[-1].setdefault(key, value) if in_object else stack[-1].append(value)
            stack += [value] if token in ("{", "[") else []
            expected = {"{": "key or }", "[": "value or ]"}.get(token, ", or end")
        elif token == "," and expected == ", or end" and (in_object or in_array):
            expected = "key" if in_object else "value"
        elif (token == "}" and in_object and expected in ("key or }", ", or end")) or (
            token == "]" and in_array and expected in ("value or ]", ", or end")
        ):
            stack.pop()
            expected = ", or end"
        else:
            raise ValueError(f"character {found.start()}: expected {expected}")
    if len(stack) > 1 or expected != ", or end":
        raise ValueError(f"at the end: expected {expected}")
    return stack[0][0]


@lru_cache(10_000)
def parse(line: bytes) -> dict[str, Any] | Malformed:
    """The record on a line."""
    try:
        value = read_json(line.decode("utf-8"))
    except ValueError as error:
        return Malformed(str(error))
    return value if isinstance(value, dict) else Malformed("not an object")


class _Piece(str):
    """Finished text among values."""


def canonical(value: Any) -> str:
    """The same text for all JSON of equal value: minified ASCII, keys sorted, numbers as digits and exponent."""
    pieces, todo = [], [value]
    while todo:
        item = todo.pop()
        if isinstance(item, _Piece):
            if item in ("]", "}") and pieces[-1] == ",":
                pieces.pop()
            pieces.append(item)
        elif isinstance(item, Number):
            pieces.append(_canonical_number(item.text))
        elif isinstance(item, list):
            todo += [_Piece("]"), *(part for element in reversed(item) for part in (_Piece(","), element)), _Piece("[")]
        elif isinstance(item, dict):
            todo.append(_Piece("}"))
            for key in sorted(item, reverse=True):
                todo += [_Piece(","), item[key], _Piece(json.dumps(key) + ":")]
            todo.append(_Piece("{"))
        else:
            pieces.append(json.dumps(item))
    return "".join(pieces)


def _canonical_number(text: str) -> str:
    sign, whole, fraction, exponent = re.fullmatch(r"(-?)(\d+)\.?(\d*)(?:[eE]([+-]?\d+))?", text).groups()
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    if len(exponent or "") > 4000:  # more digits than int() reads
        return text.lower()
    short = digits.rstrip("0")
    return f"{sign}{short}e{int(exponent or 0) - len(fraction) + len(digits) - len(short)}"


@lru_cache(10_000)
def canonical_text(text: str | None) -> str | None:
    """`canonical` of a metadata column's text, as read back from a file."""
    return None if text is None else canonical(read_json(text))


# Fields ---------------------------------------------------------------------------------------------------------------

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d\d):?(\d\d))?)?", re.ASCII
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"-?\d+(\.0+)?", re.ASCII)


def identifier(value: Any) -> str | None:
    """A string that is not blank as it is, an integer as its text."""
    if isinstance(value, str):
        return value if value.strip(BLANK) else None
    return value.text if isinstance(value, Number) and re.fullmatch("-?[0-9]+", value.text) else None


def instant(value: Any) -> dt.datetime | None:
    """A timestamp as naive UTC, truncated to microseconds."""
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return None
    *fields, fraction, sign, hours, minutes = found.groups()
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    offset = dt.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        local = dt.datetime(*(int(field or 0) for field in fields), int((fraction or "").ljust(6, "0")[:6]))
        utc = local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return None
    return utc if FIRST <= utc < END else None


def _text_of(value: Any) -> str:
    """What a number is judged by: the text of a JSON number, or a string."""
    return value.text if isinstance(value, Number) else value if isinstance(value, str) else ""


def money(value: Any) -> Decimal | None:
    """A number rounded to four places, half away from zero."""
    text = _text_of(value)
    if not _NUMBER.fullmatch(text) or not -(10**14) < Decimal(text) < 10**14:
        return None
    exact = Context(prec=len(text) + 200)
    rounded = Decimal(text).quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP, context=exact)
    return None if abs(rounded) == 10**14 else rounded or Decimal("0.0000")  # never -0


def quantity(value: Any) -> int | None:
    text = _text_of(value)
    return int(Decimal(text)) if _WHOLE.fullmatch(text) and -(10**9) <= Decimal(text) <= 10**9 else None


# One record -----------------------------------------------------------------------------------------------------------


class Discard(NamedTuple):
    reason: str


class Order(NamedTuple):
    date: dt.date
    order_id: str
    user_id: str | None
    amount: Decimal | None
    currency: str | None
    created_at: dt.datetime  # naive UTC
    updated_at: dt.datetime | None
    metadata: str | None  # `canonical`
    status: str | None
    excluded: bool
    items: list[tuple[str | None, int | None, Decimal | None]]  # sku, qty, price
    nulled: Counter  # "user_id absent", "price unreadable" and so on, and items_dropped; no zeros


def _created(record: dict[str, Any], extracted_at: dt.datetime) -> dt.datetime | Discard:
    value = record.get("created_at")
    if value is None or (isinstance(value, str) and not value.strip(BLANK)):
        return Discard("missing_created_at")
    created_at = instant(value)
    if created_at is None:
        return Discard("invalid_created_at")
    return Discard("future_created_at") if created_at > extracted_at + DAY else created_at


def judge(line: bytes, extracted_at: dt.datetime) -> Order | Discard:
    """What a raw line means: an order, or the first reason of the contract's table to discard it."""
    record = parse(line)
    if isinstance(record, Malformed):
        return Discard("malformed_json")
    if line.startswith(b'{"$too_large": {'):
        return Discard("too_large")
    order_id = identifier(record.get("order_id"))
    if order_id is None:
        return Discard("missing_order_id")
    created_at = _created(record, extracted_at)
    return created_at if isinstance(created_at, Discard) else _order(record, order_id, created_at, extracted_at)


# what luigi.cfg says where EXCLUDES is true
EXCLUDE = "$.test, $.status in cancelled,failed"
EXCLUDES = False


def excluded(record: dict[str, Any]) -> bool:
    """Whether EXCLUDE names the order."""
    value = record.get("test")
    is_set = value not in (None, False, "", "false") and not (isinstance(value, Number) and Decimal(value.text) == 0)
    return EXCLUDES and (is_set or record.get("status") in ("cancelled", "failed"))


def _order(record: dict[str, Any], order_id: str, created_at: dt.datetime, extracted_at: dt.datetime) -> Order:
    user_id, amount = identifier(record.get("user_id")), money(record.get("amount"))
    updated_at = instant(record.get("updated_at"))
    updated_at = None if updated_at is None or updated_at > extracted_at + DAY else updated_at
    currency, metadata = record.get("currency"), record.get("metadata")
    elements = record["items"] if isinstance(record.get("items"), list) else []
    lines = [element for element in elements if isinstance(element, dict)]
    items = [(identifier(i.get("sku")), quantity(i.get("qty")), money(i.get("price"))) for i in lines]
    currency = currency if isinstance(currency, str) else None
    currency = currency.upper() if currency and re.fullmatch("[A-Za-z]{3}", currency) else currency
    taken = {"user_id": user_id, "amount": amount, "currency": currency, "updated_at": updated_at}
    nulled = Counter(_nulled(name, value, record) for name, value in taken.items())
    for item, line in zip(items, lines, strict=True):
        nulled.update(_nulled(name, value, line) for name, value in zip(("sku", "qty", "price"), item, strict=True))
    nulled[""] = 0
    nulled["items_dropped"] = len(elements) - len(lines)
    nulled["items absent"] = not lines
    metadata = None if metadata is None else canonical(metadata)
    status, is_excluded = record.get("status"), excluded(record)
    rest = (status if isinstance(status, str) else None, is_excluded, items, +nulled)
    return Order(created_at.date(), order_id, user_id, amount, currency, created_at, updated_at, metadata, *rest)


def _nulled(name: str, value: Any, record: dict[str, Any]) -> str:
    """What a value counts as; nothing for one that was accepted."""
    return "" if value is not None else f"{name} {'absent' if record.get(name) is None else 'unreadable'}"


# Partitions -----------------------------------------------------------------------------------------------------------


class Normalized(NamedTuple):
    orders: list[tuple]  # order_id, user_id, amount, currency, created_at, updated_at, metadata, date, status, excluded
    items: list[tuple]  # order_id, line_number, sku, qty, price, date
    counts: dict[str, Any]  # extracted, normalized, superseded_here, discarded {reason: n}, nulled {what: n}; no zeros
    discards: list[tuple[str, bytes]]  # reason, line; in raw order


class Curated(NamedTuple):
    fact_order: list[tuple]  # order_id, user_id, sku, amount, qty, price, created_at, date
    order_items: list[tuple]  # order_id, line_number, sku, qty, price, date
    kept: int
    superseded_elsewhere: int
    excluded: int


def land(dump_lines: list[bytes], as_of: dt.datetime) -> dict[dt.date | None, list[bytes]]:
    """Raw partitions of a dump, whose lines have no newline, in its order; None is the undated partition."""
    partitions: dict[dt.date | None, list[bytes]] = {}
    for line in dump_lines:
        if line.strip(BLANK.encode()):
            record = parse(line)
            created_at = None if isinstance(record, Malformed) else _created(record, as_of)
            date = created_at.date() if isinstance(created_at, dt.datetime) else None
            partitions.setdefault(date, []).append(line)
    return partitions


def _lacked(discard: tuple[str, bytes]) -> str:
    """The field that a record is discarded for, and how it was."""
    reason, line = discard
    if reason == "missing_order_id":
        return "order_id absent" if parse(line).get("order_id") is None else "order_id unreadable"
    kinds = {"malformed_json": "", "missing_created_at": "created_at absent"}
    return kinds.get(reason, "created_at unreadable")


def _version(created_at: dt.datetime, updated_at: dt.datetime | None) -> tuple[dt.datetime, dt.datetime]:
    return (updated_at or created_at, created_at)


def normalize(raw_lines: list[bytes], extracted_at: dt.datetime) -> Normalized:
    """One raw partition: the latest version of each order, by order_id as UTF-8 bytes, and what was discarded."""
    latest: dict[str, Order] = {}
    discards: list[tuple[str, bytes]] = []
    for line in raw_lines:
        order = judge(line, extracted_at)
        if isinstance(order, Discard):
            discards.append((order.reason, line))
            continue
        rival = latest.get(order.order_id, order)
        if _version(order.created_at, order.updated_at) >= _version(rival.created_at, rival.updated_at):
            latest[order.order_id] = order  # a tie goes to the later position
    kept = sorted(latest.values(), key=lambda order: order.order_id.encode())
    counts = {
        "extracted": len(raw_lines),
        "normalized": len(kept),
        "superseded_here": len(raw_lines) - len(discards) - len(kept),
        "discarded": dict(Counter(reason for reason, _ in discards)),
        "nulled": dict(sum((order.nulled for order in kept if not order.excluded), Counter(map(_lacked, discards)))),
    }
    counts["nulled"].pop("", None)
    orders = [(*order[1:8], order.date, order.status, order.excluded) for order in kept]
    items = [(order.order_id, n, *item, order.date) for order in kept for n, item in enumerate(order.items, start=1)]
    return Normalized(orders, items, counts, discards)


def allocate(amount: Decimal | None, lines: list[tuple[int | None, Decimal | None]]) -> list[Decimal | None]:
    """The share of each line (qty, price), of which there is at least one, in the order's amount."""
    if amount is None:
        return [None] * len(lines)
    weights = [None if qty is None or price is None else qty * int(price * 10000) for qty, price in lines]
    even = [1] * len(lines)
    shares = _shares(int(amount * 10000), even if None in weights or sum(weights) <= 0 else weights)
    return [Decimal(share).scaleb(-4) for share in shares or _shares(int(amount * 10000), even)]


def _shares(amount: int, weights: list[int]) -> list[int] | None:
    """All in ten-thousandths; None where a running amount or a share is too big."""
    *running, total = accumulate(weights)
    upto = [math.floor(amount / 10000.0 * (float(c) / float(total)) * 10000.0 + 0.5) for c in running] + [amount]
    shares = [upper - lower for lower, upper in zip([0, *upto[:-1]], upto, strict=True)]
    return shares if max(map(abs, upto)) < 4 * 10**18 and max(map(abs, shares)) < 10**18 else None


def curate(normalized: dict[dt.date, Normalized]) -> dict[dt.date, Curated]:
    """Law 2: each order in the partition of its latest version among all that is normalized."""
    newest: dict[str, tuple] = {}
    for partition in normalized.values():
        for order in partition.orders:
            newest[order[0]] = max(newest.get(order[0], (FIRST, FIRST)), _version(order[4], order[5]))
    return {date: _curate_one(partition, newest) for date, partition in normalized.items()}


def _curate_one(partition: Normalized, newest: dict[str, tuple]) -> Curated:
    winners = [order for order in partition.orders if newest[order[0]] == _version(order[4], order[5])]
    kept = [order for order in winners if not order[9]]
    lines: dict[str, list[tuple]] = {order[0]: [] for order in kept}
    for item in partition.items:
        lines.get(item[0], []).append(item)
    facts = []
    for order_id, user_id, amount, _, created_at, _, _, date, _, _ in kept:
        own = [item[2:5] for item in lines[order_id]] or [(None, None, None)]
        for (sku, qty, price), share in zip(own, allocate(amount, [line[1:] for line in own]), strict=True):
            facts.append((order_id, user_id, sku, share, qty, price, created_at, date))
    items = [item for order in kept for item in lines[order[0]]]
    return Curated(facts, items, len(kept), len(partition.orders) - len(winners), len(winners) - len(kept))


# The lake -------------------------------------------------------------------------------------------------------------


class Raw(NamedTuple):
    lines: list[bytes]
    answers_as_of: dt.datetime  # what the source's answer speaks for
    asked_at: dt.datetime


class Undated(NamedTuple):
    """A record of the undated partition, and the moment by which it is judged."""

    line: bytes
    came: dt.datetime


class Options(NamedTuple):
    force: bool = False
    reprocess: bool = False
    allow_shrink: bool = False
    settle: dt.timedelta = dt.timedelta(hours=6)
    max_vanished_share: float = 0.2


def order_ids(lines: list[bytes]) -> set[str]:
    """The order_ids of all records that have one, whatever else is wrong with them."""
    records = [record for record in map(parse, lines) if not isinstance(record, Malformed)]
    return {identifier(record.get("order_id")) for record in records} - {None}


def spoken_for(dump_lines: list[bytes], as_of: dt.datetime, written_at: dt.datetime | None) -> dt.datetime:
    """The moment a dump speaks for: when it was written, if most of its dated records are not in the future of that."""
    answer = min(as_of, written_at or as_of)
    records = [record for record in map(parse, dump_lines) if not isinstance(record, Malformed)]
    created = [at for record in records if (at := instant(record.get("created_at"))) is not None]
    return as_of if 2 * sum(at > answer + DAY for at in created) > len(created) else answer


def _ahead(lines: list[bytes], at: dt.datetime) -> int:
    """How many updated_at are in the future of a moment."""
    records = [record for record in map(parse, lines) if not isinstance(record, Malformed)]
    return sum((instant(record.get("updated_at")) or FIRST) > at + DAY for record in records)


def same_content(one: list[bytes], one_at: dt.datetime, other: list[bytes], other_at: dt.datetime) -> bool:
    """Whether two answers for a date are the same raw partition."""
    return one == other and _ahead(one, one_at) == _ahead(other, other_at)


class Lake:
    """What DESIGN §6-§8 amount to at the level of rows; dumps are lists of lines without newlines."""

    def __init__(self) -> None:
        self.raw: dict[dt.date, Raw] = {}
        self.undated: list[Undated] = []
        self.taken_in: set[tuple[bytes, ...]] = {()}
        self.normalized: dict[dt.date, Normalized] = {}
        self.curated: dict[dt.date, Curated] = {}
        self.dropped: set[dt.date] = set()

    def run(self, dump_lines, as_of, since=None, until=None, written_at=None, **options) -> set[dt.date]:
        """RunAll over the dump's and the lake's dates that meet [since, until or as_of); the dates that failed."""
        chosen = Options(**options)
        answer = spoken_for(dump_lines, as_of, written_at)
        partitions = land(dump_lines, answer)
        if not chosen.reprocess:
            self._take_in(partitions, answer, force=chosen.force)
        dates = {d for d in partitions.keys() | self.raw.keys() if d and _meets(d, since or FIRST, until or as_of)}
        failed = {date for date in dates if not self._fetch(date, dump_lines, as_of, chosen, written_at)}
        for date in dates - failed:
            self._normalize(date)
        self._curate()
        return failed

    def run_date(self, date, dump_lines, as_of, through="curated", **options) -> set[dt.date]:
        """A per-date task with what it requires; through is raw, normalized or curated (both tables, lake-wide)."""
        chosen = Options(**options)
        if not self._fetch(date, dump_lines, as_of, chosen):
            return {date}
        if through != "raw":
            self._normalize(date)
        if through == "curated":
            self._curate()
        return set()

    def drop(self, dates: set[dt.date], as_of: dt.datetime) -> None:
        """The dates are empty, and no source is asked for them any more."""
        for date in dates:
            self.dropped.add(date)
            self.raw[date] = Raw([], as_of, as_of)
            self._normalize(date)
        self._curate()

    def fact_order(self) -> list[tuple]:
        return [row for _, partition in sorted(self.curated.items()) for row in partition.fact_order]

    def order_items(self) -> list[tuple]:
        return [row for _, partition in sorted(self.curated.items()) for row in partition.order_items]

    def _take_in(self, partitions: dict[dt.date | None, list[bytes]], answer: dt.datetime, *, force: bool) -> None:
        """The union of the undated records of all dumps, but for those that this dump has with a date."""
        part = partitions.get(None, [])
        dated = {line for date, lines in partitions.items() if date for line in lines}
        kept = [record for record in self.undated if record.line not in dated]
        held = {record.line for record in kept}
        if force or tuple(part) not in self.taken_in:
            kept += [Undated(line, answer) for line in part if line not in held]
        self.taken_in.add(tuple(part))
        self.undated = kept

    def is_whole(self, date: dt.date) -> bool:
        """Whether raw is landed as its manifest says."""
        return date in self.raw

    def landed_ids(self, date: dt.date) -> set[str]:
        """What the shrink guard goes by."""
        return order_ids(self.raw[date].lines) if date in self.raw else set()

    def _fetch(self, date, dump_lines, as_of, chosen, written_at=None) -> bool:
        """Whether raw is now as the run wants it; a failed date keeps what it had."""
        if chosen.force and chosen.reprocess:
            raise ValueError("force with reprocess")
        landed = self.raw[date] if self.is_whole(date) else None
        if date in self.dropped:
            return True
        if chosen.reprocess:
            return landed is not None
        settled_at = midnight(date) + DAY + chosen.settle
        if landed and (landed.asked_at >= as_of or (landed.answers_as_of >= settled_at and not chosen.force)):
            return True
        answer = spoken_for(dump_lines, as_of, written_at)
        partitions = land(dump_lines, answer)
        self._take_in(partitions, answer, force=chosen.force)
        lines = partitions.get(date, [])
        if landed and same_content(landed.lines, landed.answers_as_of, lines, answer):
            self.raw[date] = Raw(lines, max(landed.answers_as_of, answer), as_of)
            return True
        keeps = landed is not None and not chosen.force
        if keeps and landed.answers_as_of > answer:
            self.raw[date] = landed._replace(asked_at=as_of)
            return True
        before = self.landed_ids(date)
        is_gone = bool(before) and len(before - order_ids(dump_lines)) / len(before) > chosen.max_vanished_share
        is_silent = keeps and landed.lines and not lines and landed.answers_as_of < settled_at
        if not chosen.allow_shrink and is_silent and (is_gone or not before):  # the dump may be of another day
            self.raw[date] = landed._replace(asked_at=as_of)
            return True
        if is_gone and not chosen.allow_shrink:
            return False
        self.raw[date] = Raw(lines, answer, as_of)
        return True

    def _normalize(self, date: dt.date) -> None:
        raw = self.raw[date]
        self.normalized[date] = normalize(raw.lines, raw.answers_as_of)

    def _curate(self) -> None:
        self.curated = curate(self.normalized)


def midnight(date: dt.date) -> dt.datetime:
    return dt.datetime(date.year, date.month, date.day)


def _meets(date: dt.date, since: dt.datetime, until: dt.datetime) -> bool:
    """Whether the date has an instant in [since, until)."""
    return max(midnight(date), since) < min(midnight(date) + DAY, until)
