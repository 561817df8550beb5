"""Values of an order as the contract has it, for the shapes of the vendors."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from mock_shop.feed import Order, instant

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
# more digits than any number that the contract accepts
EXACT = Context(prec=150)


def is_number(value: Any) -> bool:
    """Whether it is a number of the contract, or the text of one."""
    return not isinstance(value, bool) and NUMBER.fullmatch(str(value)) is not None


def money(value: Any) -> Any:
    """A number as a string; anything else as it is."""
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def number(value: Any) -> Any:
    """The text of a number as a number; anything else as it is."""
    return Decimal(value) if isinstance(value, str) and is_number(value) else value


def minor_units(value: Any, decimals: int) -> Any:
    """A number in units of its last decimal, whole unless it has more of them; anything else as it is."""
    if not is_number(value):
        return value
    exact = EXACT.scaleb(Decimal(value), decimals)
    return int(exact) if exact == exact.to_integral_value() else exact


def items(order: Order) -> list[dict[str, Any]]:
    """The lines of an order."""
    found = order.get("items")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def line_items(order: Order, price: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """The lines as Shopify and WooCommerce have them, which differ in how a price is written."""
    return [
        {"id": place, "sku": item.get("sku"), "quantity": item.get("qty"), "price": price(item.get("price"))}
        for place, item in enumerate(items(order))
    ]


def whole_instant(order: Order, name: str) -> datetime | None:
    """A timestamp of the order in whole seconds, UTC."""
    time = instant(order.get(name))
    return time and time.astimezone(UTC).replace(microsecond=0)
