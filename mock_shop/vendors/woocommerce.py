"""WooCommerce's style: REST v3."""

import base64
from collections.abc import Mapping

from mock_shop.feed import Entry, Feed, Order, dumped
from mock_shop.styles import Answer, Asked, Plain, links, with_parameters
from mock_shop.vendors.shaping import line_items, money, number, whole_instant


class WooCommerce(Plain):
    """Neither end belongs to a window, the body is an array, headers have the totals."""

    path = "/wp-json/wc/v3/orders"
    default_limit, max_limit = 10, 100
    limit_refusal = "per_page must be between 1 (inclusive) and 100 (inclusive)"
    limit_name = "per_page"
    window_names = ("after", "before", "modified_after", "dates_are_gmt", "orderby", "order")
    since_counts = False
    is_vendor = True
    own_names = ("id", "date_created_gmt", "date_modified_gmt")

    def __init__(self) -> None:
        super().__init__("page_number")

    def shaped(self, order: Order, line: bytes) -> bytes:
        names = {"date_created": "created_at", "date_modified": "updated_at"}
        times = {name: whole_instant(order, field) for name, field in names.items()}
        return dumped(
            {
                "id": order.get("order_id"),
                "customer_id": order.get("user_id"),
                "total": money(order.get("amount")),
                "currency": order.get("currency"),
                **{f"{name}_gmt": time and time.replace(tzinfo=None).isoformat() for name, time in times.items()},
                "line_items": line_items(order, number),
                "meta_data": order.get("metadata"),
            }
        )

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        if query.get("orderby", "date") not in ("date", "id") or query.get("order", "desc") not in ("asc", "desc"):
            raise ValueError("orderby or order")
        window, entries = super().window(feed, query)
        return window, entries if query.get("order") == "asc" else entries[::-1]

    def page(self, asked: Asked, url: str) -> Answer:
        entries = asked.entries[asked.start : asked.start + asked.limit]
        total = len(asked.entries)
        number, pages = asked.start // asked.limit + 1, -(-total // asked.limit)
        others = links(
            prev=with_parameters(url, page=number - 1) if number > 1 else None,
            next=with_parameters(url, page=number + 1) if number < pages else None,
        )
        headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)} | others
        return Answer(b"[" + b",".join(entry.body for entry in entries) + b"]", headers)

    def error(self, status: int, message: str) -> Answer:
        return Answer(
            dumped({"code": "rest_invalid_param", "message": message, "data": {"status": status}}), status=status
        )

    def credentials(self, secret: str) -> tuple[str, str]:
        return "Authorization", f"Basic {base64.b64encode(f'key:{secret}'.encode()).decode()}"
