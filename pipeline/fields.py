"""The map of an order: for each field of the contract a path in the shop's JSON, such as $.customer.id."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from pipeline.currencies import ISO_4217, STRIPE

Path = tuple[str | int, ...]

ORDER_FIELDS = ("order_id", "user_id", "amount", "currency", "created_at", "updated_at", "items", "metadata", "status")
ITEM_FIELDS = ("sku", "qty", "price")
FIELDS = (*ORDER_FIELDS, *(f"items.{name}" for name in ITEM_FIELDS))
MICROSECONDS = {"epoch_seconds": 1_000_000, "epoch_millis": 1_000}
RFC2822, UNLESS_ZERO, WITHOUT_CHILDREN, HUNDREDTHS = "rfc2822", "unless_zero", "without_children", "hundredths"
DECIMALS = {"minor_units": ISO_4217, "stripe_minor_units": STRIPE}
# the form without_children drops an item that has this field: the item belongs to another item of its order
PARENT: Path = ("parent_item_id",)
FORMS: dict[str, tuple[str, ...]] = {
    "user_id": (UNLESS_ZERO,),
    "amount": (*DECIMALS, HUNDREDTHS),
    "created_at": (*MICROSECONDS, RFC2822),
    "updated_at": (*MICROSECONDS, RFC2822),
    "items": (WITHOUT_CHILDREN,),
    "items.price": (*DECIMALS, HUNDREDTHS),
}

EXCLUDE = "exclude"
# the fields that a map may set to `none`. Their path is then $[0]: a record is an object, and it has no element 0
NONE, MAY_BE_NONE, NOWHERE = "none", ("amount", "items"), (0,)

_STEP = re.compile(r'\.([A-Za-z_][\w-]*)|\."([^"]+)"|\[(\d+)\]')
_NEXT_CONDITION = re.compile(r",\s*(?=\$)")


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


def path_text(path: Path) -> str:
    """The inverse of parse_path."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else _name_text(step) for step in path)


def _name_text(name: str) -> str:
    return f".{name}" if _STEP.fullmatch(f".{name}") else f'."{name}"'


def found(value: Any, path: Path) -> Any:
    """The value at the path in parsed JSON. None if nothing is there."""
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
    """A path, and the form of the value there, such as epoch_seconds. An empty form is that of the contract."""

    path: Path
    form: str = ""

    @cached_property
    def pattern(self) -> str:
        """The path for DuckDB, each name quoted."""
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in self.path)


def parse_place(name: str, text: str) -> Place:
    """The place in a setting such as `$.created epoch_seconds`, or `none` for amount and items. Raises ValueError."""
    if text.strip() == NONE and name in MAY_BE_NONE:
        return Place(NOWHERE)
    path, _, form = text.strip().rpartition(" ") if not text.strip().endswith('"') else (text, "", "")
    if form not in FORMS.get(name, ()):
        path, form = text, ""
    place = Place(parse_path(path), form)
    # only an object is an order line, so the path in an item starts with a name
    if name.startswith("items.") and not (place.path and isinstance(place.path[0], str)):
        raise ValueError(text)
    return place


@dataclass(frozen=True)
class Condition:
    """Excludes an order if its value at the place is one of `values`. Without `values`: if the value is set.

    A value is not set if it is absent, null, false, 0, "" or "false".
    """

    place: Place
    values: tuple[str, ...] = ()


def parse_exclude(text: str) -> tuple[Condition, ...]:
    """The conditions in a setting such as `$.test, $.status in failed,cancelled`. Raises ValueError."""
    return tuple(map(_condition, _NEXT_CONDITION.split(text.strip()))) if text.strip() else ()


def _condition(text: str) -> Condition:
    path, has_values, listed = text.partition(" in ")
    values = tuple(map(str.strip, listed.split(","))) if has_values else ()
    if not all(values):
        raise ValueError(text)
    return Condition(Place(parse_path(path)), values)


class FieldMap:
    """The place of each field of an order. A field that is not given has its place in the contract.

    `texts` holds the places as they are written, and under `exclude` the conditions if there are any. `own` names the
    fields whose place is set in luigi.cfg and not by a preset.
    """

    def __init__(self, places: Mapping[str, str], own: Collection[str] = ()) -> None:
        self.own = frozenset(own)
        self.texts = {name: places.get(name, f"$.{name.removeprefix('items.')}") for name in FIELDS}
        self._places = {name: parse_place(name, text) for name, text in self.texts.items()}
        self.exclude = parse_exclude(places.get(EXCLUDE, ""))
        if self.exclude:
            self.texts[EXCLUDE] = places[EXCLUDE]

    def __getitem__(self, name: str) -> Place:
        return self._places[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldMap) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.digest)

    def only(self, *names: str) -> "FieldMap":
        """The map of these fields of an order. The other fields are nowhere, and no order is excluded."""
        nowhere = path_text(NOWHERE)
        return FieldMap({name: self.texts[name] if name in names else nowhere for name in ORDER_FIELDS})

    def lacks(self, name: str) -> bool:
        """Whether the map says that the shop has no such field."""
        return self[name].path == NOWHERE

    @cached_property
    def digest(self) -> str:
        """12 hex digits that identify the map."""
        return sha256(json.dumps(self.texts, sort_keys=True).encode()).hexdigest()[:12]

    @cached_property
    def bound(self) -> dict[str, Any]:
        """The values for sql/mapped_line.sql."""
        patterns = {f"{name.replace('.', '_')}_path": place.pattern for name, place in self._places.items()}
        return patterns | {
            "exclude_paths": [condition.place.pattern for condition in self.exclude],
            "exclude_values": [list(condition.values) for condition in self.exclude],
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


AS_THE_CONTRACT = FieldMap({})


def map_of(texts: Mapping[str, str] | Any) -> FieldMap | None:
    """The map from the texts in a manifest. None without texts: then the records have the fields of the contract."""
    return FieldMap(texts) if texts else None


def texts_of(fields: FieldMap | None) -> dict[str, str] | None:
    """The texts of a map, for a manifest. None without a map."""
    return fields.texts if fields is not None else None
