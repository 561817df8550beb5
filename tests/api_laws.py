"""What the laws say of a lake whose source is a shop's API, by the states that the shop had and by the reference."""

import datetime as dt
import json
import re
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from typing import Any

import pyarrow.parquet as pq
import reference as ref
from changing_shop import ChangingShop
from lake import MANIFEST, LakeUnderTest

import pipeline.errors

DAY = dt.timedelta(days=1)
STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
UP_TO_NORMALIZED = (
    *("raw/date={}/orders_raw.json", "raw/date={}/_raw.json", "quarantine/date={}/orders.parquet"),
    *("normalized/date={}/orders.parquet", "normalized/date={}/items.parquet", "normalized/date={}/_normalized.json"),
)
Harmed = Container[str]


def refuse_other_errors(lake: LakeUnderTest) -> None:
    """Each error of the last run is one that the pipeline raises on purpose, in one line."""
    for error in lake.errors:
        assert hasattr(pipeline.errors, error.partition(":")[0]), error
        assert "\n" not in error


class Landings:
    """Law 1: a raw partition has each order that its window had all the time it was read, and nothing else."""

    def __init__(self, lake: LakeUnderTest, shop: ChangingShop) -> None:
        self.lake, self.shop = lake, shop
        self.seen: dict[str, list[bytes]] = {}

    def check(self, harmed: Harmed) -> None:
        """Compare what is new since the last check with the states that the shop had while it was read."""
        for date, lines in self.lake.raw().items():
            if f"raw/date={date}/orders_raw.json" not in harmed and lines != self.seen.get(date):
                states = [of_date(state, date) for state in self.shop.states_read(dt.date.fromisoformat(date))]
                assert set(lines) <= set().union(*states), f"{date}: what the shop never had"
                always = set.intersection(*(set(map(key, state)) for state in states))
                assert always <= set(map(key, lines)), f"{date}: lost {always - set(map(key, lines))}"
                self.seen[date] = lines


def of_date(lines: list[bytes], date: str) -> list[bytes]:
    return [line for line in lines if json.loads(line)["created_at"][:10] == date]


def key(line: bytes) -> str:
    """What an order is known by, whatever changes in it; a record without an id is itself."""
    return json.loads(line)["order_id"] or line.decode()


def check_made(lake: LakeUnderTest, harmed: Harmed, *, curated: bool) -> None:
    """Normalized and quarantine are what the reference makes of raw. With `curated`: of all dates; so is curated."""
    manifests, known = readable_manifests(lake), {}
    for date, lines in lake.raw().items():
        landed = manifests.get(f"raw/date={date}/_raw.json", {})
        made = manifests.get(f"normalized/date={date}/_normalized.json", {})
        is_there = landed.get("id") and made.get("id") and made["made_from"] == landed["id"]
        if is_there and not any(name.format(date) in harmed for name in UP_TO_NORMALIZED):
            day = dt.date.fromisoformat(date)
            known[day] = ref.normalize(lines, dt.datetime.strptime(landed["answers_as_of"], STAMP))
            check_normalized(lake, day, known[day])
        else:
            assert not curated, f"{date}: not made, or not up to date"
    if curated:
        check_curated(lake, ref.curate(known))


def readable_manifests(lake: LakeUnderTest) -> dict[str, dict[str, Any]]:
    found = {}
    for name in lake.names(MANIFEST):
        with suppress(ValueError):
            found[name] = json.loads((lake.root / name).read_bytes())
    return found


def check_normalized(lake: LakeUnderTest, date: dt.date, wanted: ref.Normalized) -> None:
    found = lake.normalized("orders", [date])[date]
    assert [(*row[:6], ref.canonical_text(row[6]), *row[7:]) for row in found] == wanted.orders, date
    assert lake.normalized("items", [date])[date] == wanted.items
    assert lake.quarantine([date]).get(str(date), []) == wanted.discards


def check_curated(lake: LakeUnderTest, wanted: Mapping[dt.date, ref.Curated]) -> None:
    """Law 2, over the whole lake."""
    for table in ("fact_order", "order_items"):
        found = lake.curated(table)
        assert found == {date: getattr(curated, table) for date, curated in wanted.items()}, f"law 2: {table}"


def check_one_place(lake: LakeUnderTest, harmed: Harmed) -> None:
    """Law 2, as readers see it: no order_id is in two files of fact_order that nobody has harmed."""
    places: dict[str, set[str]] = {}
    for name in lake.names(re.compile(r"curated/date=2[\d-]+/fact_order\.parquet")):
        if name not in harmed:
            for order_id in pq.read_table(lake.root / name, partitioning=None)["order_id"].to_pylist():
                places.setdefault(order_id, set()).add(name)
    assert {order_id: names for order_id, names in places.items() if len(names) > 1} == {}


def check_shop_is_in(lake: LakeUnderTest, orders: Iterable[dict[str, Any]], as_of: dt.datetime) -> None:
    """The lake has each order as it is, unless it has changed since the run began."""
    found: dict[str, set[tuple[str, float]]] = {}
    for date, rows in lake.normalized("orders").items():
        for row in rows:
            found.setdefault(row[0], set()).add((str(date), float(row[2])))
    for order in orders:
        if order["order_id"] and order["updated_at"] <= as_of.isoformat() + "Z":
            place = (order["created_at"][:10], order["amount"])
            assert place in found.get(order["order_id"], set()), f"{order}: the lake has {found.get(order['order_id'])}"
