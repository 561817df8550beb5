"""Hints for a field that a map does not find in a shop's records: the names there, and the setting to try."""

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from pipeline.fields import AS_THE_CONTRACT, ITEM_FIELDS, FieldMap, Path, found, path_text

# other names of each field, as lower-case letters and digits; from the order objects of Shopify, WooCommerce, Stripe,
# Magento and BigCommerce, and from common usage
OTHER_NAMES = {
    "order_id": ("id", "orderid", "ordernumber", "number", "incrementid", "entityid", "reference"),
    "user_id": ("customerid", "customer", "user", "buyerid", "clientid"),
    "amount": ("total", "totalprice", "grandtotal", "ordertotal", "amounttotal", "totalamount", "totalinctax", "value"),
    "currency": ("currencycode", "ordercurrencycode", "ordercurrency", "curr"),
    "created_at": ("created", "datecreated", "createdon", "orderdate", "date", "placed", "placedat", "timestamp"),
    "updated_at": ("updated", "datemodified", "modified", "updatedon", "lastmodified", "modifiedat"),
    "items": ("lineitems", "lines", "orderlines", "orderitems", "products", "positions"),
    "sku": ("productid", "productsku", "product", "article", "itemsku", "productcode"),
    "qty": ("quantity", "qtyordered", "count", "units"),
    "price": ("unitprice", "priceeach", "priceinctax", "unitamount"),
}
SHOWN_NAMES = 12
# two names are alike from this ratio of difflib on
ALIKE = 0.8


def place_of(field: str) -> str:
    """The field's name in [orders_fields]."""
    return f"items.{field}" if field in ITEM_FIELDS else field


def hint(field: str, record: bytes, fields: FieldMap | None, then: str) -> str:
    """The end of a message about a missing field: the names beside it, and a setting if exactly one name fits.

    The names are those of the record, or of its first item for a field of items. `then` says how to apply the setting,
    such as `run again`. Returns "" if the record is not a JSON object.
    """
    try:
        value = json.loads(record)
    except (ValueError, RecursionError):
        return ""
    places = fields or AS_THE_CONTRACT
    if field in ITEM_FIELDS:
        items = found(value, places["items"].path)
        value = items[0] if isinstance(items, list) and items else None
    if not isinstance(value, dict):
        return ""
    names = ", ".join([str(name) for name in value][:SHOWN_NAMES]) + ("…" if len(value) > SHOWN_NAMES else "")
    what = "an item" if field in ITEM_FIELDS else "a record"
    now = places[place_of(field)].path
    likely = [path for path, held in _values(value) if path != now and _may_be(field, path, held)]
    text = f"; fields of such {what}: {names}"
    if len(likely) != 1:
        return text
    return f"{text}; set [orders_fields] {place_of(field)} = {path_text(likely[0])}, then {then}"


def _values(value: dict[str, Any], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The path and value of each member of an object, and of each member of an object directly in it."""
    for name, held in value.items():
        yield (*at, name), held
        if isinstance(held, dict) and not at:
            yield from _values(held, (name,))


def _may_be(field: str, path: Path, held: Any) -> bool:
    is_array = isinstance(held, list) and any(isinstance(element, dict) for element in held)
    if held is None or (not is_array if field == "items" else isinstance(held, list | dict | bool)):
        return False
    name, wanted = _letters(str(path[-1])), _letters(field)
    return name in (wanted, *OTHER_NAMES[field]) or SequenceMatcher(None, name, wanted).ratio() >= ALIKE


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
