"""The orders that the API has, in a vendor's shape, ready to be sent."""

import json
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Order = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One order: its times in seconds since 1970, its id, and its JSON as the API gives it."""

    created: float
    updated: float
    order_id: str
    body: bytes


class Feed:
    """The orders of a JSON file, which is read anew whenever it has changed."""

    def __init__(self, path: str, shaped: Callable[[Order, bytes], bytes]) -> None:
        self._path, self._shaped = Path(path), shaped
        self._version: tuple[int, ...] = ()
        self._entries: list[Entry] = []
        self._created: list[float] = []

    def _refresh(self) -> None:
        stat = os.stat(self._path)
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if version != self._version:
            entries = [self._entry(*pair) for pair in read_orders(self._path.read_bytes())]
            self._entries = sorted((entry for entry in entries if entry), key=lambda entry: entry.created)
            self._created = [entry.created for entry in self._entries]
            self._version = version

    def _entry(self, order: Any, line: bytes) -> Entry | None:
        try:
            created = seconds(order["created_at"])
            updated = seconds(order.get("updated_at") or order["created_at"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        return Entry(created, updated, str(order.get("order_id")), self._shaped(order, line))

    def created(self, since: float, until: float, *, since_counts: bool, until_counts: bool) -> list[Entry]:
        """The orders created between two times, the ends counted or not, the oldest first."""
        self._refresh()
        first = (bisect_left if since_counts else bisect_right)(self._created, since)
        return self._entries[first : (bisect_right if until_counts else bisect_left)(self._created, until)]

    def updated(self, since: float) -> list[Entry]:
        """The orders updated since then, the oldest first."""
        self._refresh()
        return [entry for entry in self._entries if entry.updated >= since]


def read_orders(content: bytes) -> list[tuple[Any, bytes]]:
    """Each order of an array, of {"orders": [...]} or of NDJSON, parsed and as text."""
    try:
        whole = json.loads(content)
        orders = whole["orders"] if isinstance(whole, dict) and "orders" in whole else whole
        if isinstance(orders, list):
            return [(order, dumped(order)) for order in orders]
    except ValueError:
        pass
    lines = [line for line in content.split(b"\n") if line.strip()]
    return [(_parsed(line), line) for line in lines]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def dumped(value: Any) -> bytes:
    """A value as JSON, in as few characters as can be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def seconds(text: str) -> float:
    """ISO 8601, UTC unless it says otherwise, as seconds since 1970."""
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
