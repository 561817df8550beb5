"""The vendors' styles: each one's windows, limits, pages, errors and shape of an order."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

from mock_shop.feed import Entry, Feed, Order, dumped, instant
from mock_shop.styles import Answer, Asked, BadRequest, Plain, links, with_parameters

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
# more digits than any number that the contract accepts
EXACT = Context(prec=150)
# the zone of shops whose vendor writes local times
SHOP_ZONE = timezone(timedelta(hours=-5))


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and NUMBER.fullmatch(str(value)) is not None


def _money(value: Any) -> Any:
    """A number as a string; anything else as it is."""
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def _number(value: Any) -> Any:
    """The text of a number as a number; anything else as it is."""
    return Decimal(value) if isinstance(value, str) and _is_number(value) else value


def _hundredths(value: Any) -> Any:
    """A number in hundredths, whole unless it has more than two decimals; anything else as it is."""
    if not _is_number(value):
        return value
    exact = EXACT.scaleb(Decimal(value), 2)
    return int(exact) if exact == exact.to_integral_value() else exact


def _items(order: Order) -> list[dict[str, Any]]:
    items = order.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _line_items(order: Order, price: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """The lines as Shopify and WooCommerce have them, which differ in how a price is written."""
    return [
        {"id": number, "sku": item.get("sku"), "quantity": item.get("qty"), "price": price(item.get("price"))}
        for number, item in enumerate(_items(order))
    ]


def _instant(order: Order, name: str) -> datetime | None:
    """A timestamp of the order in whole seconds, UTC."""
    time = instant(order.get(name))
    return time and time.astimezone(UTC).replace(microsecond=0)


class Shopify(Plain):
    """Admin REST: both ends of a window count; Link has the next page's URL, with only limit and page_info."""

    path = "/admin/api/2025-01/orders.json"
    default_limit, max_limit = 50, 250
    window_names = ("created_at_min", "created_at_max", "updated_at_min", "status", "order", "fields")
    until_counts = True
    counts_total = False
    is_vendor = True

    def __init__(self) -> None:
        super().__init__("link_header")

    def shaped(self, order: Order, line: bytes) -> bytes:
        times = {name: _instant(order, name) for name in ("created_at", "updated_at")}
        return dumped(
            {
                "id": order.get("order_id"),
                "customer": {"id": order.get("user_id")},
                "total_price": _money(order.get("amount")),
                "currency": order.get("currency"),
                **{name: time and time.astimezone(SHOP_ZONE).isoformat() for name, time in times.items()},
                "line_items": _line_items(order, _money),
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
        """The URL of another page: limit, and one token for all other parameters."""
        state = {name: value for name, value in asked.query.items() if name != "limit"} | {"start": str(start)}
        token = base64.urlsafe_b64encode(dumped(state)).decode()
        return with_parameters(url.split("?")[0], limit=asked.limit, page_info=token)

    def error(self, status: int, message: str) -> Answer:
        return Answer(dumped({"errors": message}), status=status)

    def retry_after(self, drawn: str) -> str:
        return "0.1"

    def credentials(self, secret: str) -> tuple[str, str]:
        return "X-Shopify-Access-Token", secret


class WooCommerce(Plain):
    """REST v3: neither end of a window counts, the body is an array, headers have the totals."""

    path = "/wp-json/wc/v3/orders"
    default_limit, max_limit = 10, 100
    limit_refusal = "per_page must be between 1 (inclusive) and 100 (inclusive)"
    limit_name = "per_page"
    window_names = ("after", "before", "modified_after", "dates_are_gmt", "orderby", "order")
    since_counts = False
    is_vendor = True

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
                "line_items": _line_items(order, _number),
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


class Stripe(Plain):
    """Stripe's lists: newest first, a page starts after an id, times are epoch seconds."""

    path = "/v1/orders"
    default_limit, max_limit = 10, 100
    limit_refusal = "limit must be at most 100"
    window_names = ("created[gte]", "created[lt]")
    counts_total = False
    is_vendor = True

    def shaped(self, order: Order, line: bytes) -> bytes:
        created, updated = _instant(order, "created_at"), _instant(order, "updated_at")
        return dumped(
            {
                "id": order.get("order_id"),
                "object": "order",
                "amount": _hundredths(order.get("amount")),
                "currency": order.get("currency"),
                "customer": order.get("user_id"),
                "created": created and int(created.timestamp()),
                "updated": updated and int(updated.timestamp()),
                "items": [
                    {
                        "object": "order_item",
                        "type": "sku",
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
        since, until = int(query["created[gte]"]), int(query["created[lt]"])
        entries = feed.created(since, until, since_counts=True, until_counts=False)
        return f"{since}..{until}", entries[::-1]

    def page_names(self) -> tuple[str, ...]:
        return ("starting_after",)

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

    def retry_after(self, drawn: str) -> str:
        return ""


VENDORS = {"shopify": Shopify, "woocommerce": WooCommerce, "stripe": Stripe}
