"""A style reads the requests and writes the pages and errors of an API. The vendors' styles derive from Plain."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from mock_shop.feed import CONTRACT, Entry, Feed, Order, Shape, dumped, instant, seconds

PAGINATIONS = ("cursor", "link_header", "page_number", "offset", "none")


class BadRequest(Exception):
    """A request that the vendor answers with status 400."""


@dataclass(frozen=True)
class Asked:
    """A page of a window: `limit` entries from index `start` on. `window` is the window's name in the statistics."""

    window: str
    entries: list[Entry]
    start: int
    limit: int
    query: Mapping[str, str]


@dataclass
class Answer:
    """A response: body, headers other than Content-Type, and status."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


class Plain:
    """An API whose orders have the shape of the contract."""

    path = "/orders"
    default_limit, max_limit = 100, 1000
    # the error for a limit above max_limit; if empty, max_limit is used instead
    limit_refusal = ""
    limit_name = "limit"
    # created from, created until, updated since; then other accepted parameters
    window_names: tuple[str, ...] = ("created_from", "created_until", "updated_since")
    # whether an order at the start, or at the end, of a window belongs to the window
    since_counts, until_counts = True, False
    counts_total = True
    # the names of id, time of creation and time of update in this style's own shape
    own_names: tuple[str, str, str] = CONTRACT.names
    # whether it has only the newest version of each order, and times in whole seconds
    is_vendor = False

    def __init__(self, pagination: str = "cursor") -> None:
        self.pagination = pagination

    def shaped(self, order: Order, line: bytes) -> bytes:
        """The JSON of an order in this style's own shape. `line` is its JSON in the shape of the contract."""
        return line

    def own_instant(self, value: Any) -> datetime | None:
        """The instant of a time in this style's own shape."""
        return instant(value)

    def shape(self, *, is_own: bool) -> Shape:
        """How to read and send the dump's orders. `is_own`: they have this style's own shape, not the contract's."""
        if is_own:
            return Shape(self.own_names, self.own_instant, lambda order, line: line, self.is_vendor)
        return replace(CONTRACT, sent=self.shaped, is_vendor=self.is_vendor)

    def asked(self, feed: Feed, query: Mapping[str, str]) -> Asked:
        """The page that a request asks for. Raises BadRequest and UnreadableFeed."""
        query = self.continued(query)
        unknown = sorted(set(query) - {*self.window_names, *self.page_names(), self.limit_name})
        if unknown:
            raise BadRequest(f"unknown parameter: {unknown[0]}")
        try:
            window, entries = self.window(feed, query)
            limit = self.limit(int(query.get(self.limit_name, self.default_limit)))
            start = self.start(entries, query, limit)
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(f"bad parameter: {error}") from None
        if limit < 1 or start < 0:
            raise BadRequest("bad parameter: limit, page or offset")
        return Asked(window, entries, start, len(entries) or 1 if self.pagination == "none" else limit, query)

    def continued(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The query, with the parameters that a page token stands for. Raises BadRequest."""
        return query

    def page_names(self) -> tuple[str, ...]:
        """The parameters that choose the page."""
        return {"page_number": ("page",), "offset": ("offset",), "none": ()}.get(self.pagination, ("cursor",))

    def limit(self, given: int) -> int:
        """The largest number of orders of a page, for a requested limit. Raises ValueError."""
        if self.limit_refusal and given > self.max_limit:
            raise ValueError(self.limit_refusal)
        return min(given, self.max_limit)

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        """The window's name and its entries. Raises KeyError and ValueError for bad parameters, UnreadableFeed."""
        since_name, until_name, updated_name = self.window_names[:3]
        if updated_name in query:
            since, sign = query[updated_name], ">=" if self.since_counts else ">"
            return f"updated{sign}{since}", feed.updated(seconds(since), since_counts=self.since_counts)
        since, until = query[since_name], query[until_name]
        counts = {"since_counts": self.since_counts, "until_counts": self.until_counts}
        return f"{since}..{until}", feed.created(seconds(since), seconds(until), **counts)

    def start(self, entries: list[Entry], query: Mapping[str, str], limit: int) -> int:
        """The index of the first order of the page."""
        if self.pagination == "page_number":
            return (int(query.get("page", "1")) - 1) * limit
        if self.pagination == "offset":
            return int(query.get("offset", "0"))
        cursor = query.get("cursor", "")
        return int(base64.urlsafe_b64decode(cursor)) if cursor else 0

    def page(self, asked: Asked, url: str) -> Answer:
        """The page as a response. `url` is that of the request."""
        entries = asked.entries[asked.start : asked.start + asked.limit]
        total = len(asked.entries)
        following = asked.start + len(entries)
        cursor = _cursor(following) if following < total else None
        head = b'{"orders":[' + b",".join(entry.body for entry in entries) + b"]"
        if self.pagination == "cursor":
            return Answer(head + b',"next_cursor":%b,"total":%d}' % (json.dumps(cursor).encode(), total))
        wanted = cursor if self.pagination == "link_header" else None
        return Answer(
            head + b',"total":%d}' % total, links(next=with_parameters(url, cursor=wanted) if wanted else None)
        )

    def error(self, status: int, message: str) -> Answer:
        """An error in this style's envelope."""
        return Answer(dumped({"error": message}), status=status)

    def retry_after(self, drawn: str) -> str:
        """The header Retry-After of status 429; `drawn` is the drawn value. Empty for no header."""
        return drawn

    def credentials(self, secret: str) -> tuple[str, str]:
        """The name and the value of the header that a request needs."""
        return "Authorization", f"Bearer {secret}"


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(str(start).encode()).decode()


def with_parameters(url: str, **parameters: object) -> str:
    """The URL with these parameters set."""
    query = dict(parse_qsl(urlsplit(url).query)) | parameters
    return f"{url.split('?')[0]}?{urlencode(query)}"


def links(**urls: str | None) -> dict[str, str]:
    """The header Link (RFC 8288) with a URL per relation. Relations with None are left out."""
    links = ", ".join(f'<{url}>; rel="{relation}"' for relation, url in urls.items() if url)
    return {"Link": links} if links else {}
