"""The orders of a JSON file, in the shape in which they are sent."""

import json
import math
import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

Order = dict[str, Any]

# a timestamp of the pipeline's contract; datetime.fromisoformat alone would also accept 20250115 and 2025-W03-3
TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
# the most windows whose orders are cached, so the next page of a window needs no search through all orders
KNOWN_WINDOWS = 64


class UnreadableFeed(Exception):
    """The file is not a JSON dump at the moment, perhaps because it is being written."""


@dataclass(frozen=True)
class Entry:
    """One order: its times in seconds since 1970, its id, and its JSON as it is sent."""

    created: float
    updated: float
    order_id: str
    body: bytes


@dataclass(frozen=True)
class Shape:
    """The names of id, time of creation and time of update in an order; and how to read a time and send an order.

    `sent` takes the order, parsed and as JSON. `is_vendor`: whole seconds, and only the newest version of each order.
    """

    names: tuple[str, str, str]
    instant: Callable[[Any], datetime | None]
    sent: Callable[[Order, bytes], bytes]
    is_vendor: bool


class Feed:
    """The orders of a JSON file. The file is read again when it has changed."""

    def __init__(self, path: str, shape: Shape) -> None:
        self._path, self._shape = Path(path), shape
        self._version: tuple[int, ...] = ()
        self._entries: list[Entry] = []
        self._created: list[float] = []
        self._windows: dict[object, list[Entry]] = {}

    def _refresh(self) -> None:
        """Raises UnreadableFeed."""
        try:
            stat = os.stat(self._path)
            version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if version != self._version:
                self._load(read_orders(self._path.read_bytes()))
                self._version = version
        except (OSError, ValueError, RecursionError) as error:
            raise UnreadableFeed(f"no orders can be read from the mock's --data: {error}") from None

    def _load(self, orders: list[tuple[Any, bytes]]) -> None:
        entries = [entry for order, line in orders if (entry := self._entry(order, line))]
        entries = _newest_versions(entries) if self._shape.is_vendor else entries
        self._entries = sorted(entries, key=lambda each: each.created)
        self._created = [entry.created for entry in self._entries]
        self._windows = {}

    def _entry(self, order: Any, line: bytes) -> Entry | None:
        """None for an order without a created_at, because no window holds it."""
        id_name, created_name, updated_name = self._shape.names
        created = self._shape.instant(order.get(created_name)) if isinstance(order, dict) else None
        if created is None:
            return None
        updated = self._shape.instant(order.get(updated_name)) or created
        whole = math.floor if self._shape.is_vendor else float
        times = whole(created.timestamp()), whole(updated.timestamp())
        return Entry(*times, str(order.get(id_name) or ""), self._shape.sent(order, line))

    def created(self, since: float, until: float, *, since_counts: bool, until_counts: bool) -> list[Entry]:
        """The orders created between two times, oldest first. Raises UnreadableFeed."""
        self._refresh()
        first = (bisect_left if since_counts else bisect_right)(self._created, since)
        last = (bisect_right if until_counts else bisect_left)(self._created, until)
        return self._known((first, last), lambda: self._entries[first:last])

    def updated(self, since: float, *, since_counts: bool) -> list[Entry]:
        """The orders updated since a time, oldest created first. Raises UnreadableFeed."""
        self._refresh()
        return self._known(
            (since, since_counts),
            lambda: [e for e in self._entries if e.updated > since or (since_counts and e.updated == since)],
        )

    def _known(self, window: object, found: Callable[[], list[Entry]]) -> list[Entry]:
        if window not in self._windows:
            if len(self._windows) >= KNOWN_WINDOWS:
                self._windows.clear()
            self._windows[window] = found()
        return self._windows[window]


def _newest_versions(entries: list[Entry]) -> list[Entry]:
    """The newest entry of each order_id, in the contract's order of versions. Leaves out entries without an id."""
    latest: dict[str, Entry] = {}
    for entry in entries:
        before = latest.get(entry.order_id)
        if entry.order_id and (before is None or (entry.updated, entry.created) >= (before.updated, before.created)):
            latest[entry.order_id] = entry
    return list(latest.values())


def read_orders(content: bytes) -> list[tuple[Any, bytes]]:
    """Each order, parsed and as text, of an array, of {"orders": [...]} or of NDJSON. Raises ValueError."""
    if content.lstrip()[:1] == b"[":
        return [(order, dumped(order)) for order in parsed(content)]
    try:
        orders = parsed(content)["orders"]
        return [(order, dumped(order)) for order in orders]
    except (ValueError, KeyError, TypeError):
        return [(_parsed_line(line), line) for line in content.split(b"\n") if line.strip()]


def _parsed_line(line: bytes) -> Any:
    try:
        return parsed(line)
    except (ValueError, RecursionError):
        return None


def parsed(text: bytes) -> Any:
    """The JSON value with exact numbers. Of duplicate keys the first counts, as in the contract. Raises ValueError."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_first_of_each)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _first_of_each(pairs: list[tuple[str, Any]]) -> Order:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))


def dumped(value: Any) -> bytes:
    """A value as minified JSON with exact numbers."""
    return _text(value).encode()


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def instant(value: Any) -> datetime | None:
    """A timestamp of the contract, in UTC if it has no offset. None for any other value."""
    if not isinstance(value, str) or not TIMESTAMP.fullmatch(value):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def seconds(text: str) -> float:
    """A timestamp in a request, as seconds since 1970. Raises ValueError."""
    time = instant(text)
    if time is None:
        raise ValueError(f"{text!r} is not a timestamp")
    return time.timestamp()


CONTRACT = Shape(("order_id", "created_at", "updated_at"), instant, lambda order, line: line, is_vendor=False)
