"""Stripe's style."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mock_shop.feed import Entry, Feed, Order, dumped
from mock_shop.styles import Answer, Asked, Plain
from mock_shop.vendors.shaping import items, minor_units, whole_instant

# https://docs.stripe.com/currencies
NO_DECIMALS = ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
THREE_DECIMALS = ["bhd", "jod", "kwd", "omr", "tnd"]


class Stripe(Plain):
    """Lists with the newest order first. A page starts after an id. Times are epoch seconds."""

    path = "/v1/orders"
    own_names = ("id", "created", "updated")
    default_limit, max_limit = 10, 100
    limit_refusal = "limit must be at most 100"
    window_names = ("created[gte]", "created[lt]")
    counts_total = False
    is_vendor = True

    def shaped(self, order: Order, line: bytes) -> bytes:
        created, updated = whole_instant(order, "created_at"), whole_instant(order, "updated_at")
        currency = str(order.get("currency") or "").lower()
        decimals = 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2
        return dumped(
            {
                "id": order.get("order_id"),
                "object": "order",
                "amount": minor_units(order.get("amount"), decimals),
                "currency": currency or None,
                "customer": order.get("user_id"),
                "created": created and int(created.timestamp()),
                "updated": updated and int(updated.timestamp()),
                "items": [
                    {
                        "object": "order_item",
                        "type": "sku",
                        "parent": item.get("sku"),
                        "quantity": item.get("qty"),
                        "amount": minor_units(item.get("price"), decimals),
                    }
                    for item in items(order)
                ],
                "metadata": order.get("metadata"),
            }
        )

    def own_instant(self, value: Any) -> datetime | None:
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None

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
