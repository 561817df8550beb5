"""Where a shop's JSON keeps what the contract names: paths such as $.customer.id, and the map of an order's fields."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from pipeline.currencies import ISO_4217, STRIPE

Path = tuple[str | int, ...]

ORDER_FIELDS = ("order_id", "user_id", "amount", "currency", "created_at", "updated_at", "items", "metadata")
ITEM_FIELDS = ("sku", "qty", "price")
FIELDS = (*ORDER_FIELDS, *(f"items.{name}" for name in ITEM_FIELDS))
MICROSECONDS = {"epoch_seconds": 1_000_000, "epoch_millis": 1_000}
RFC2822, UNLESS_ZERO, WITHOUT_CHILDREN, HUNDREDTHS = "rfc2822", "unless_zero", "without_children", "hundredths"
DECIMALS = {"minor_units": ISO_4217, "stripe_minor_units": STRIPE}
# of a line that belongs to another line of its order, for without_children
PARENT: Path = ("parent_item_id",)
FORMS: dict[str, tuple[str, ...]] = {
    "user_id": (UNLESS_ZERO,),
    "amount": (*DECIMALS, HUNDREDTHS),
    "created_at": (*MICROSECONDS, RFC2822),
    "updated_at": (*MICROSECONDS, RFC2822),
    "items": (WITHOUT_CHILDREN,),
    "items.price": (*DECIMALS, HUNDREDTHS),
}

_STEP = re.compile(r'\.([A-Za-z_][\w-]*)|\."([^"]+)"|\[(\d+)\]')


def parse_path(text: str) -> Path:
    """The steps of `$`, `$.name`, `$."any name"` or `$.list[0]`. Raises ValueError."""
    steps: list[str | int] = []
    rest = text.strip()
    if not rest.startswith("$"):
        raise ValueError(text)
    rest = rest[1:]
    while rest:
        match = _STEP.match(rest)
        if match is None:
            raise ValueError(text)
        steps.append(int(match[3]) if match[3] else match[1] or match[2])
        rest = rest[match.end() :]
    return tuple(steps)


def found(value: Any, path: Path) -> Any:
    """What a parsed JSON value has at the path; None where there is nothing."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


@dataclass(frozen=True)
class Place:
    """A path, and the form in which the value is written there: empty where it is the contract's own."""

    path: Path
    form: str = ""

    @cached_property
    def pattern(self) -> str:
        """The path for DuckDB, each name quoted."""
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in self.path)


def parse_place(name: str, text: str) -> Place:
    """The place of a field, such as `$.created epoch_seconds`. Raises ValueError."""
    path, _, form = text.strip().rpartition(" ") if not text.strip().endswith('"') else (text, "", "")
    if form not in FORMS.get(name, ()):
        path, form = text, ""
    return Place(parse_path(path), form)


class FieldMap:
    """The places of all fields of an order; those that are not given are where the contract has them."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.texts = {name: places.get(name, f"$.{name.removeprefix('items.')}") for name in FIELDS}
        self._places = {name: parse_place(name, text) for name, text in self.texts.items()}

    def __getitem__(self, name: str) -> Place:
        return self._places[name]

    @cached_property
    def digest(self) -> str:
        """Short, and another for every other map."""
        return sha256(json.dumps(self.texts, sort_keys=True).encode()).hexdigest()[:12]

    @cached_property
    def bound(self) -> dict[str, Any]:
        """The values for sql/mapped_line.sql."""
        patterns = {f"{name.replace('.', '_')}_path": place.pattern for name, place in self._places.items()}
        return patterns | {
            "user_id_unless_zero": self["user_id"].form == UNLESS_ZERO,
            "items_without_children": self["items"].form == WITHOUT_CHILDREN,
            **{f"{name}_form": self[field].form for name, field in _FORMED.items()},
            **{f"{name}_unit": MICROSECONDS.get(self[name].form, 0) for name in ("created_at", "updated_at")},
            **{f"{name}_decimals": _as_map(DECIMALS.get(self[_FORMED[name]].form, {})) for name in ("amount", "price")},
        }


_FORMED = {"created_at": "created_at", "updated_at": "updated_at", "amount": "amount", "price": "items.price"}


def _as_map(table: Mapping[str, int]) -> dict[str, list[Any]]:
    """A table as DuckDB binds a MAP."""
    return {"key": list(table), "value": list(table.values())}
