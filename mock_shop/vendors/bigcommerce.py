"""BigCommerce's style."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from mock_shop.feed import Entry, Feed, Order, dumped
from mock_shop.styles import Answer, Asked, Plain
from mock_shop.vendors.shaping import money, whole_instant


class BigCommerce(Plain):
    """v2 orders: both ends belong to a window, the body is an array, status 204 is a page without orders."""

    path = "/stores/mock/v2/orders"
    default_limit, max_limit = 50, 250
    window_names = ("min_date_created", "max_date_created", "min_date_modified", "sort")
    until_counts = True
    counts_total = False
    is_vendor = True
    own_names = ("id", "date_created", "date_modified")

    def __init__(self) -> None:
        super().__init__("page_number")

    def shaped(self, order: Order, line: bytes) -> bytes:
        names = {"date_created": "created_at", "date_modified": "updated_at"}
        times = {name: whole_instant(order, field) for name, field in names.items()}
        order_id = order.get("order_id")
        return dumped(
            {
                "id": order_id,
                "customer_id": order.get("user_id"),
                **{name: time and format_datetime(time) for name, time in times.items()},
                "total_inc_tax": money(order.get("amount")),
                "default_currency_code": order.get("currency"),
                "products": {"resource": f"/orders/{order_id}/products"},
            }
        )

    def own_instant(self, value: Any) -> datetime | None:
        return parsedate_to_datetime(value) if value else None

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        if query.get("sort", "id:asc") not in ("id:asc", "id:desc"):
            raise ValueError(f"sort {query['sort']!r}")
        window, entries = super().window(feed, query)
        return window, entries if query.get("sort") != "id:desc" else entries[::-1]

    def page(self, asked: Asked, url: str) -> Answer:
        entries = asked.entries[asked.start : asked.start + asked.limit]
        if not entries:
            return Answer(b"", status=204)
        return Answer(b"[" + b",".join(entry.body for entry in entries) + b"]")

    def error(self, status: int, message: str) -> Answer:
        return Answer(dumped({"status": status, "title": message}), status=status)

    def retry_after(self, drawn: str) -> str:
        return ""

    def credentials(self, secret: str) -> tuple[str, str]:
        return "X-Auth-Token", secret
