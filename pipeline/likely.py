"""What a shop's records hold where a field is expected, and which of it may be that field under another name."""

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from pipeline.fields import AS_THE_CONTRACT, ITEM_FIELDS, FieldMap, Path, found, path_text

# other names of a field, without the marks between words; from the order objects of Shopify, WooCommerce, Stripe,
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
ALIKE = 0.8
Found = dict[Path, Any]


def place_of(field: str) -> str:
    """The field's name in [orders_fields]."""
    return f"items.{field}" if field in ITEM_FIELDS else field


def hint(field: str, record: bytes, fields: FieldMap | None, then: str) -> str:
    """The names that a record has where the field is looked for, and the setting that may be meant, if one fits.

    `then` applies that setting. Empty for a record that is no JSON object.
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
    """What an object holds, and what the objects in it hold."""
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
