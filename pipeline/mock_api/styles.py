"""The manners of each vendor: what a request means, what an order looks like, how a page and an error are written."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline.mock_api.feed import Entry, Feed, Order, dumped, seconds

PAGINATIONS = ("cursor", "link_header", "page_number", "offset", "none")
JSON = "application/json"


class BadRequest(Exception):
    """A request that the vendor would answer with status 400."""


@dataclass(frozen=True)
class Asked:
    """What a request asks for: these entries, from this one on, so many, and the window's name in the statistics."""

    window: str
    entries: list[Entry]
    start: int
    limit: int


@dataclass
class Answer:
    """What is sent back."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


class Plain:
    """An API that gives orders as the contract has them."""

    path = "/orders"
    default_limit, max_limit = 100, 1000
    counts_total = True

    def __init__(self, pagination: str = "cursor") -> None:
        self.pagination = pagination

    def shaped(self, order: Order, line: bytes) -> bytes:
        return line

    def asked(self, feed: Feed, query: Mapping[str, str]) -> Asked:
        """Raises BadRequest."""
        try:
            window, entries = self.window(feed, query)
            limit = min(int(query.get(self.limit_name, self.default_limit)), self.max_limit)
            start = self.start(entries, query, limit)
        except (KeyError, ValueError) as error:
            raise BadRequest(f"bad parameter: {error}") from None
        if limit < 1 or start < 0:
            raise BadRequest("bad parameter: limit, page or offset")
        return Asked(window, entries, start, len(entries) or 1 if self.pagination == "none" else limit)

    limit_name = "limit"

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        if "updated_since" in query:
            return f"updated>={query['updated_since']}", feed.updated(seconds(query["updated_since"]))
        since, until = query["created_from"], query["created_until"]
        entries = feed.created(seconds(since), seconds(until), since_counts=True, until_counts=False)
        return since, entries

    def start(self, entries: list[Entry], query: Mapping[str, str], limit: int) -> int:
        """The index of the first order of the page."""
        if self.pagination == "page_number":
            return (int(query.get("page", "1")) - 1) * limit
        if self.pagination == "offset":
            return int(query.get("offset", "0"))
        cursor = query.get("cursor", query.get("page_info", ""))
        return int(base64.urlsafe_b64decode(cursor)) if cursor else 0

    def page(self, asked: Asked, url: str) -> Answer:
        """A page of what was asked for; `url` is the request's own, without parameters."""
        entries = asked.entries[asked.start : asked.start + asked.limit]
        total = len(asked.entries)
        following = asked.start + len(entries)
        cursor = _cursor(following) if following < total else None
        head = b'{"orders":[' + b",".join(entry.body for entry in entries) + b"]"
        if self.pagination == "cursor":
            return Answer(head + b',"next_cursor":%b,"total":%d}' % (json.dumps(cursor).encode(), total))
        here = re.sub("&cursor=[^&]*", "", url)
        links = {"Link": f'<{here}&cursor={cursor}>; rel="next"'} if cursor and self.pagination == "link_header" else {}
        return Answer(head + b',"total":%d}' % total, links)

    def error(self, status: int, message: str) -> Answer:
        return Answer(dumped({"error": message}), status=status)

    def credentials(self, secret: str) -> tuple[str, str]:
        """The header that a request has to bring, and its value."""
        return "Authorization", f"Bearer {secret}"


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(str(start).encode()).decode()


def _money(value: Any) -> str | None:
    return None if value is None else format(Decimal(str(value)), "f")


def _hundredths(value: Any) -> int | None:
    return None if value is None else int(Decimal(str(value)) * 100)


def _items(order: Order) -> list[dict[str, Any]]:
    return [item for item in order.get("items") or [] if isinstance(item, dict)]


def _instant(order: Order, name: str) -> datetime | None:
    return datetime.fromtimestamp(seconds(order[name]), UTC) if order.get(name) else None


class Shopify(Plain):
    """Admin REST: both ends of a window count; the next page is a URL in Link with nothing but limit and page_info."""

    path = "/admin/api/2025-01/orders.json"
    default_limit, max_limit = 50, 250
    counts_total = False

    def __init__(self) -> None:
        super().__init__("link_header")

    def shaped(self, order: Order, line: bytes) -> bytes:
        lines = [
            {"id": number, "sku": item.get("sku"), "quantity": item.get("qty"), "price": _money(item.get("price"))}
            for number, item in enumerate(_items(order))
        ]
        times = {name: _instant(order, name) for name in ("created_at", "updated_at")}
        return dumped(
            {
                "id": order.get("order_id"),
                "customer": {"id": order.get("user_id")},
                "total_price": _money(order.get("amount")),
                "currency": order.get("currency"),
                **{name: time and time.isoformat() for name, time in times.items()},
                "line_items": lines,
                "note_attributes": order.get("metadata"),
            }
        )

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        if "page_info" in query:
            if set(query) - {"limit", "page_info", "fields"}:
                raise BadRequest("page_info: no other parameter than limit and fields is allowed with it")
            state = json.loads(base64.urlsafe_b64decode(query["page_info"]))
            return self.window(feed, state["query"])
        if "updated_at_min" in query:
            return f"updated>={query['updated_at_min']}", feed.updated(seconds(query["updated_at_min"]))
        since, until = query["created_at_min"], query["created_at_max"]
        return since, feed.created(seconds(since), seconds(until), since_counts=True, until_counts=True)

    def start(self, entries: list[Entry], query: Mapping[str, str], limit: int) -> int:
        state = json.loads(base64.urlsafe_b64decode(query["page_info"])) if "page_info" in query else {"start": 0}
        return int(state["start"])

    def page(self, asked: Asked, url: str) -> Answer:
        entries = asked.entries[asked.start : asked.start + asked.limit]
        following = asked.start + len(entries)
        headers = {"X-Shopify-Shop-Api-Call-Limit": "1/40"}
        if following < len(asked.entries):
            name = "updated_at_min" if asked.window.startswith("updated>=") else "created_at_min"
            query = {name: asked.window.removeprefix("updated>="), "created_at_max": self._until}
            info = base64.urlsafe_b64encode(dumped({"query": query, "start": following})).decode()
            headers["Link"] = f'<{url.split("?")[0]}?limit={asked.limit}&page_info={info}>; rel="next"'
        return Answer(b'{"orders":[' + b",".join(entry.body for entry in entries) + b"]}", headers)

    _until = ""

    def asked(self, feed: Feed, query: Mapping[str, str]) -> Asked:
        given = query
        if "page_info" in query:
            given = json.loads(base64.urlsafe_b64decode(query["page_info"]))["query"]
        self._until = given.get("created_at_max", "")
        return super().asked(feed, query)

    def error(self, status: int, message: str) -> Answer:
        return Answer(dumped({"errors": message}), status=status)

    def credentials(self, secret: str) -> tuple[str, str]:
        return "X-Shopify-Access-Token", secret


class WooCommerce(Plain):
    """REST v3: neither end of a window counts, the body is the array, the totals are headers."""

    path = "/wp-json/wc/v3/orders"
    default_limit, max_limit = 10, 100
    limit_name = "per_page"

    def __init__(self) -> None:
        super().__init__("page_number")

    def shaped(self, order: Order, line: bytes) -> bytes:
        times = {"date_created": _instant(order, "created_at"), "date_modified": _instant(order, "updated_at")}
        return dumped(
            {
                "id": order.get("order_id"),
                "customer_id": order.get("user_id"),
                "total": _money(order.get("amount")),
                "currency": order.get("currency"),
                **{f"{name}_gmt": time and time.replace(tzinfo=None).isoformat() for name, time in times.items()},
                "line_items": [
                    {"id": number, "sku": item.get("sku"), "quantity": item.get("qty"), "price": item.get("price")}
                    for number, item in enumerate(_items(order))
                ],
                "meta_data": order.get("metadata"),
            }
        )

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        if int(query.get("per_page", "10")) > self.max_limit:
            raise ValueError("per_page must be between 1 (inclusive) and 100 (inclusive)")
        if "modified_after" in query:
            return f"updated>={query['modified_after']}", feed.updated(seconds(query["modified_after"]))
        since, until = seconds(query["after"]), seconds(query["before"])
        return query["after"], feed.created(since, until, since_counts=False, until_counts=False)

    def page(self, asked: Asked, url: str) -> Answer:
        entries = asked.entries[asked.start : asked.start + asked.limit]
        total = len(asked.entries)
        headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(-(-total // asked.limit))}
        return Answer(b"[" + b",".join(entry.body for entry in entries) + b"]", headers)

    def error(self, status: int, message: str) -> Answer:
        return Answer(
            dumped({"code": "rest_invalid_param", "message": message, "data": {"status": status}}), status=status
        )

    def credentials(self, secret: str) -> tuple[str, str]:
        return "Authorization", f"Basic {base64.b64encode(f'key:{secret}'.encode()).decode()}"


class Stripe(Plain):
    """List endpoints in Stripe's manner: newest first, a page starts after the last id, times are epoch seconds."""

    path = "/v1/orders"
    default_limit, max_limit = 10, 100
    counts_total = False

    def shaped(self, order: Order, line: bytes) -> bytes:
        updated = _instant(order, "updated_at")
        return dumped(
            {
                "id": order.get("order_id"),
                "object": "order",
                "amount": _hundredths(order.get("amount")),
                "currency": order.get("currency"),
                "customer": order.get("user_id"),
                "created": int(seconds(order["created_at"])),
                "updated": updated and int(updated.timestamp()),
                "items": [
                    {
                        "object": "order_item",
                        "parent": item.get("sku"),
                        "quantity": item.get("qty"),
                        "amount": _hundredths(item.get("price")),
                    }
                    for item in _items(order)
                ],
                "metadata": order.get("metadata"),
            }
        )

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        if set(query) - {"created[gte]", "created[lt]", "limit", "starting_after"}:
            raise BadRequest("Received unknown parameter")
        since, until = int(query["created[gte]"]), int(query["created[lt]"])
        entries = feed.created(since, until, since_counts=True, until_counts=False)
        return query["created[gte]"], entries[::-1]

    def start(self, entries: list[Entry], query: Mapping[str, str], limit: int) -> int:
        if "starting_after" not in query:
            return 0
        return [entry.order_id for entry in entries].index(query["starting_after"]) + 1

    def page(self, asked: Asked, url: str) -> Answer:
        entries = asked.entries[asked.start : asked.start + asked.limit]
        more = asked.start + len(entries) < len(asked.entries)
        head = b'{"object":"list","url":"/v1/orders","has_more":%b,"data":[' % json.dumps(more).encode()
        return Answer(head + b",".join(entry.body for entry in entries) + b"]}")

    def error(self, status: int, message: str) -> Answer:
        return Answer(dumped({"error": {"type": "invalid_request_error", "message": message}}), status=status)


STYLES = {"plain": Plain, "shopify": Shopify, "woocommerce": WooCommerce, "stripe": Stripe}
