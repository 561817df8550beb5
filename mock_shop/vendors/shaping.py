"""Converts values of the contract's orders to the forms that the vendors write."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from mock_shop.feed import Order, instant

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
# more digits than any number of the contract has
EXACT = Context(prec=150)


def is_number(value: Any) -> bool:
    """Whether the value is a number of the contract, or the text of one."""
    return not isinstance(value, bool) and NUMBER.fullmatch(str(value)) is not None


def money(value: Any) -> Any:
    """A number as a string. Any other value is unchanged."""
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def number(value: Any) -> Any:
    """The text of a number as a number. Any other value is unchanged."""
    return Decimal(value) if isinstance(value, str) and is_number(value) else value


def minor_units(value: Any, decimals: int) -> Any:
    """A number in minor units of `decimals` decimals, an integer if it is whole. Any other value is unchanged."""
    if not is_number(value):
        return value
    exact = EXACT.scaleb(Decimal(value), decimals)
    return int(exact) if exact == exact.to_integral_value() else exact


def items(order: Order) -> list[dict[str, Any]]:
    """The items of an order that are objects."""
    found = order.get("items")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def line_items(order: Order, price: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """The lines in the shape of Shopify and WooCommerce. `price` writes a price: the two differ only there."""
    return [
        {"id": place, "sku": item.get("sku"), "quantity": item.get("qty"), "price": price(item.get("price"))}
        for place, item in enumerate(items(order))
    ]


def whole_instant(order: Order, name: str) -> datetime | None:
    """A timestamp of the order in UTC, cut to whole seconds. None if it is not valid."""
    time = instant(order.get(name))
    return time and time.astimezone(UTC).replace(microsecond=0)
