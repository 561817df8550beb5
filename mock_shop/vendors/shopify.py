"""Shopify's style: Admin REST."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta, timezone

from mock_shop.feed import Entry, Feed, Order, dumped
from mock_shop.styles import Answer, Asked, BadRequest, Plain, links, with_parameters
from mock_shop.vendors.shaping import line_items, money, whole_instant

# the shop's time zone, in which times are written
SHOP_ZONE = timezone(timedelta(hours=-5))


class Shopify(Plain):
    """Both ends belong to a window. Link has the next page's URL, with the parameters limit and page_info only."""

    path = "/admin/api/2025-01/orders.json"
    default_limit, max_limit = 50, 250
    window_names = ("created_at_min", "created_at_max", "updated_at_min", "status", "order", "fields")
    until_counts = True
    counts_total = False
    is_vendor = True
    own_names = ("id", "created_at", "updated_at")

    def __init__(self) -> None:
        super().__init__("link_header")

    def shaped(self, order: Order, line: bytes) -> bytes:
        times = {name: whole_instant(order, name) for name in ("created_at", "updated_at")}
        return dumped(
            {
                "id": order.get("order_id"),
                "customer": {"id": order.get("user_id")},
                "total_price": money(order.get("amount")),
                "currency": order.get("currency"),
                **{name: time and time.astimezone(SHOP_ZONE).isoformat() for name, time in times.items()},
                "line_items": line_items(order, money),
                "note_attributes": order.get("metadata"),
            }
        )

    def continued(self, query: Mapping[str, str]) -> Mapping[str, str]:
        if "page_info" not in query:
            return query
        refused = sorted(set(query) - {"limit", "page_info", "fields"})
        if refused:
            raise BadRequest(f"{refused[0]} cannot be passed when page_info is present")
        try:
            state: dict[str, str] = dict(json.loads(base64.urlsafe_b64decode(query["page_info"])))
        except (TypeError, ValueError):
            raise BadRequest("page_info: Invalid value.") from None
        return state | {"limit": query.get("limit", str(self.default_limit))}

    def page_names(self) -> tuple[str, ...]:
        return ("start",)

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        order = query.get("order", "created_at desc")
        if order not in ("created_at asc", "created_at desc"):
            raise ValueError(f"order {order!r}")
        window, entries = super().window(feed, query)
        return window, entries if order.endswith("asc") else entries[::-1]

    def start(self, entries: list[Entry], query: Mapping[str, str], limit: int) -> int:
        return int(query.get("start", "0"))

    def page(self, asked: Asked, url: str) -> Answer:
        entries = asked.entries[asked.start : asked.start + asked.limit]
        following = asked.start + len(entries)
        others = links(
            previous=self._at(asked, url, max(asked.start - asked.limit, 0)) if asked.start else None,
            next=self._at(asked, url, following) if following < len(asked.entries) else None,
        )
        body = b'{"orders":[' + b",".join(entry.body for entry in entries) + b"]}"
        return Answer(body, {"X-Shopify-Shop-Api-Call-Limit": "1/40"} | others)

    def _at(self, asked: Asked, url: str, start: int) -> str:
        """The URL of another page: with limit, and with a token for all other parameters."""
        state = {name: value for name, value in asked.query.items() if name != "limit"} | {"start": str(start)}
        token = base64.urlsafe_b64encode(dumped(state)).decode()
        return with_parameters(url.split("?")[0], limit=asked.limit, page_info=token)

    def error(self, status: int, message: str) -> Answer:
        return Answer(dumped({"errors": message}), status=status)

    def retry_after(self, drawn: str) -> str:
        return "0.1"

    def credentials(self, secret: str) -> tuple[str, str]:
        return "X-Shopify-Access-Token", secret
