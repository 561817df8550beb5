"""Magento's style: REST V1 with search criteria."""

from collections.abc import Mapping
from typing import Any

from mock_shop.feed import Entry, Feed, Order, dumped
from mock_shop.styles import Answer, Asked, Plain
from mock_shop.vendors.shaping import items, number, whole_instant

FILTER = "searchCriteria[filter_groups][{}][filters][0][{}]"
CRITERIA = {
    FILTER.format(0, "field"): "created_at",
    FILTER.format(0, "condition_type"): "gteq",
    FILTER.format(1, "field"): "created_at",
    FILTER.format(1, "condition_type"): "lt",
}
SORT = {"searchCriteria[sortOrders][0][field]": "entity_id", "searchCriteria[sortOrders][0][direction]": "ASC"}
PAGE = "searchCriteria[currentPage]"


class Magento(Plain):
    """A window is two filters, a page after the last one repeats the last one, a line is a parent and its child."""

    path = "/rest/V1/orders"
    default_limit, max_limit = 20, 300
    limit_refusal = "Maximum SearchCriteria pageSize is 300"
    limit_name = "searchCriteria[pageSize]"
    window_names = (FILTER.format(0, "value"), FILTER.format(1, "value"), "", *CRITERIA, *SORT)
    is_vendor = True
    own_names = ("entity_id", "created_at", "updated_at")

    def shaped(self, order: Order, line: bytes) -> bytes:
        times = {name: whole_instant(order, name) for name in ("created_at", "updated_at")}
        return dumped(
            {
                "entity_id": order.get("order_id"),
                "customer_id": order.get("user_id"),
                "grand_total": number(order.get("amount")),
                "order_currency_code": order.get("currency"),
                **{name: time and f"{time:%Y-%m-%d %H:%M:%S}" for name, time in times.items()},
                "items": [each for place, item in enumerate(items(order)) for each in _configured(2 * place + 1, item)],
            }
        )

    def window(self, feed: Feed, query: Mapping[str, str]) -> tuple[str, list[Entry]]:
        wrong = sorted(name for name, value in CRITERIA.items() if query.get(name) != value)
        if wrong:
            raise ValueError(wrong[0])
        return super().window(feed, query)

    def page_names(self) -> tuple[str, ...]:
        return (PAGE,)

    def start(self, entries: list[Entry], query: Mapping[str, str], limit: int) -> int:
        pages = max(-(-len(entries) // limit), 1)
        return (min(int(query.get(PAGE, "1")), pages) - 1) * limit

    def page(self, asked: Asked, url: str) -> Answer:
        entries = asked.entries[asked.start : asked.start + asked.limit]
        tail = b'],"search_criteria":{"page_size":%d},"total_count":%d}' % (asked.limit, len(asked.entries))
        return Answer(b'{"items":[' + b",".join(entry.body for entry in entries) + tail)

    def error(self, status: int, message: str) -> Answer:
        return Answer(dumped({"message": message}), status=status)

    def retry_after(self, drawn: str) -> str:
        return ""


def _configured(item_id: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    """Magento's two items for a product with options: the parent with the price, and the chosen child."""
    line = {"item_id": item_id, "product_type": "configurable", "sku": item.get("sku"), "qty_ordered": item.get("qty")}
    child = line | {"item_id": item_id + 1, "product_type": "simple", "parent_item_id": item_id}
    return [line | {"price": number(item.get("price"))}, child | {"price": 0}]
