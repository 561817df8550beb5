"""--changed-since extracts again the dates of updated orders, and no other dates."""

import datetime as dt
import json
import random
from pathlib import Path

from api import QUICK, Reply, Scripted, mock_api, scripted
from depth import by_depth, deep
from lake import LakeUnderTest

from pipeline import FetchOrders

DAYS = by_depth(few=12, all=30, night=30)
START = dt.datetime(2025, 1, 1)
DAY = dt.timedelta(days=1)


def days_of_a_shop(draw: random.Random) -> list[list[bytes]]:
    """What the shop has at the end of each day: orders come, late ones too, change, and move to other dates."""
    orders: dict[str, dict] = {}
    days = []
    for day in range(DAYS):
        for _ in range(6):
            late = draw.choice((0, 0, 0, 5)) * DAY
            created = max(START, START + day * DAY - late) + dt.timedelta(seconds=draw.randrange(86_000))
            updated = START + day * DAY + dt.timedelta(seconds=draw.randrange(86_000, 86_400))
            order_id = f"o_{len(orders)}"
            orders[order_id] = {
                "order_id": order_id,
                "amount": draw.randrange(1_000),
                "created_at": created.isoformat() + "Z",
                "updated_at": updated.isoformat() + "Z",
            }
        for order_id in draw.sample(sorted(orders), min(len(orders), 3)):
            updated = START + day * DAY + dt.timedelta(seconds=86_350)
            change = {"amount": draw.randrange(1_000), "updated_at": updated.isoformat() + "Z"}
            if draw.random() < 0.5:
                moved = START + dt.timedelta(seconds=draw.randrange((day + 1) * 86_400))
                change["created_at"] = moved.isoformat() + "Z"
            orders[order_id] = orders[order_id] | change
        days.append([json.dumps(order).encode() for order in orders.values()])
    return days


@deep("long runs")
def test_daily_auto_runs_end_in_the_rows_of_a_full_forced_load(tmp_path: Path) -> None:
    lake, full = LakeUnderTest(tmp_path / "daily"), LakeUnderTest(tmp_path / "full")
    feed = tmp_path / "feed.ndjson"
    days = days_of_a_shop(random.Random(7))
    extracted = 0
    for shop in (lake, full):
        shop.settings["orders_api"] |= QUICK | {"start_date": "2025-01-01", "max_vanished_share": 1}
    feed.write_bytes(b"")
    with mock_api(feed) as api:
        for shop in (lake, full):
            shop.settings["orders_api"]["url"] = api.url
        for day, lines in enumerate(days):
            feed.write_bytes(b"".join(line + b"\n" for line in lines))
            as_of = START + (day + 1) * DAY
            assert lake.run(None, as_of, changed_since="auto", dates_per_task=DAYS), lake.errors
            extracted += len(lake.summary(as_of)["dates"])
        assert full.run(None, START + DAYS * DAY, force=True, dates_per_task=DAYS), full.errors
    for table in ("fact_order", "order_items"):
        rows = {date: rows for date, rows in lake.curated(table).items() if rows}
        assert rows == {date: rows for date, rows in full.curated(table).items() if rows}
    assert extracted < DAYS * (DAYS + 1) / 2


def test_an_order_that_moved_has_both_of_its_dates_extracted_again(lake: LakeUnderTest, tmp_path: Path) -> None:
    feed = tmp_path / "feed.ndjson"
    kept = '{"order_id": "o_%d", "created_at": "2025-01-%dT10:00:00Z"}\n'
    before = "".join(kept % (n, date) for n, date in enumerate((15, 15, 15, 15, 15, 15, 16, 17)))
    moved = '{"order_id": "o_0", "created_at": "2025-01-17T11:00:00Z", "updated_at": "2025-02-02T00:00:00Z"}\n'
    feed.write_text(before)
    with mock_api(feed) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url}
        since, until = dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 18)
        assert lake.run(None, dt.datetime(2025, 2, 1), since, until), lake.errors
        feed.write_text(before.replace(kept % (0, 15), moved, 1))
        asked = dt.datetime(2025, 2, 3)
        assert lake.run(None, asked, changed_since=dt.datetime(2025, 2, 1)), lake.errors
    assert sorted(lake.summary(asked)["dates"]) == ["2025-01-15", "2025-01-17"]
    ids = {str(date): [row[0] for row in rows] for date, rows in lake.curated("fact_order").items()}
    assert ids == {
        "2025-01-15": ["o_1", "o_2", "o_3", "o_4", "o_5"],
        "2025-01-16": ["o_6"],
        "2025-01-17": ["o_0", "o_7"],
    }


def test_of_a_dump_the_settled_dates_whose_records_differ_are_extracted_again(lake: LakeUnderTest) -> None:
    order = b'{"order_id": "o_%d", "amount": %d, "created_at": "2025-01-%dT10:00:00Z"}'
    assert lake.run([order % (1, 1, 15), order % (2, 2, 16)], dt.datetime(2025, 2, 1)), lake.errors
    asked = dt.datetime(2025, 2, 2)
    changed = [order % (1, 1, 15), order % (2, 3, 16), order % (3, 3, 17)]
    assert lake.run(changed, asked, changed_since="auto"), lake.errors
    assert sorted(lake.summary(asked)["dates"]) == ["2025-01-16", "2025-01-17"]


def test_auto_goes_on_from_a_run_only_once_all_of_it_was_published(lake: LakeUnderTest) -> None:
    good = b'{"order_id": "o_1", "created_at": "2025-01-15T10:00:00Z"}'
    assert lake.run([good], dt.datetime(2025, 2, 1), changed_since="auto"), lake.errors
    known = lake.manifests()["raw/_changed_since.json"]
    gone = b'{"order_id": "o_2", "created_at": "2025-01-15T10:00:00Z"}'
    assert not lake.run([gone], dt.datetime(2025, 2, 2), changed_since="auto")
    assert lake.manifests()["raw/_changed_since.json"] == known


@deep("late updates")
def test_auto_does_not_go_on_from_a_run_that_looked_at_some_dates_only(lake: LakeUnderTest) -> None:
    order = b'{"order_id": "o_%d", "amount": %d, "created_at": "2025-01-%dT10:00:00Z"}'
    assert lake.run([order % (1, 1, 15), order % (2, 2, 16)], dt.datetime(2025, 2, 1)), lake.errors
    changed = [order % (1, 5, 15), order % (2, 5, 16)]
    assert lake.run(changed, dt.datetime(2025, 2, 2), dt.datetime(2025, 1, 16), changed_since="auto"), lake.errors
    assert "raw/_changed_since.json" not in lake.manifests()
    assert lake.run(None, dt.datetime(2025, 2, 3), changed_since=dt.datetime(2025, 2, 2)), lake.errors
    assert "raw/_changed_since.json" not in lake.manifests()


class Register:
    """A shop of one order a page that fails after the first page while it is `down`; orders of one day, by number."""

    def __init__(self) -> None:
        self.orders = {n: {"amount": n, "updated_at": "2025-02-01T00:00:00Z"} for n in (1, 2, 3)}
        self.down = False

    def update(self, number: int, updated_at: str) -> None:
        self.orders[number] = {"amount": 100 + number, "updated_at": updated_at}

    def reply(self, _: Scripted, params: dict[str, str]) -> Reply:
        chosen = [n for n, order in self.orders.items() if order["updated_at"] >= params.get("updated_since", "")]
        at = int(params.get("cursor", 0))
        if self.down and at:
            return 500, {}, b""
        records = [{"order_id": f"o_{n}", "created_at": "2025-01-15T10:00:00Z"} | self.orders[n] for n in chosen]
        following = at + 1 if at + 1 < len(chosen) else None
        page = {"orders": records[at : at + 1], "next_cursor": following, "total": len(chosen)}
        return 200, {}, json.dumps(page).encode()


def amounts(lake: LakeUnderTest) -> list[int]:
    return [int(row[2]) for row in lake.normalized("orders")[dt.date(2025, 1, 15)]]


NINE = dt.datetime(2025, 2, 3, 9)
CHOSEN = {"since": dt.datetime(2025, 1, 15), "until": dt.datetime(2025, 1, 16)}


@deep("late updates")
def test_an_update_between_two_pages_of_a_cut_off_run_is_not_lost_when_auto_goes_on(lake: LakeUnderTest) -> None:
    shop = Register()
    with scripted(shop.reply) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "attempts": 1, "start_date": "2025-01-15"}
        assert lake.run(None, dt.datetime(2025, 2, 2), **CHOSEN), lake.errors
        shop.down = True
        assert not lake.run(None, NINE, **CHOSEN, force=True)
        shop.down = False
        shop.update(1, "2025-02-03T09:10:00Z")
        assert lake.run(None, NINE + dt.timedelta(minutes=30), changed_since="auto", dates_per_task=30), lake.errors
    assert amounts(lake) == [101, 2, 3]


@deep("late updates")
def test_auto_looks_back_to_the_oldest_page_of_a_first_load_that_was_cut_off(lake: LakeUnderTest) -> None:
    shop = Register()
    with scripted(shop.reply) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "attempts": 1, "overlap_minutes": 0}
        shop.down = True
        assert not lake.run(None, NINE, **CHOSEN)
        shop.down = False
        shop.update(1, "2025-02-03T09:10:00Z")
        assert lake.run(None, NINE + dt.timedelta(minutes=30), **CHOSEN), lake.errors
        manifest = lake.manifest("raw", "2025-01-15")
        assert (manifest["answers_as_of"], manifest["asked_at"]) == (
            "2025-02-03T09:00:00.000000Z",
            "2025-02-03T09:30:00.000000Z",
        )
        assert amounts(lake) == [1, 2, 3]
        assert lake.run(None, NINE + dt.timedelta(hours=1), changed_since="auto"), lake.errors
    assert amounts(lake) == [101, 2, 3]


@deep("late updates")
def test_what_changed_is_asked_for_anew_after_a_run_that_was_cut_off_while_it_asked(lake: LakeUnderTest) -> None:
    shop = Register()
    with scripted(shop.reply) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "attempts": 1, "overlap_minutes": 0}
        assert lake.run(None, dt.datetime(2025, 2, 2), **CHOSEN), lake.errors
        for number in (1, 2):
            shop.update(number, "2025-02-03T08:00:00Z")
        shop.down = True
        assert not lake.run(None, NINE, changed_since="auto")
        shop.down = False
        shop.update(1, "2025-02-03T09:10:00Z")
        shop.orders[1]["amount"] = 7
        assert lake.run(None, NINE + dt.timedelta(minutes=30), changed_since="auto"), lake.errors
    assert amounts(lake) == [7, 102, 3]


@deep("late updates")
def test_auto_loads_the_dates_that_a_first_load_did_not_come_to(lake: LakeUnderTest) -> None:
    shop = Register()
    with scripted(shop.reply) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "start_date": "2025-01-14"}
        assert lake.run_date(FetchOrders, dt.date(2025, 1, 14), None, dt.datetime(2025, 1, 16, 1)), lake.errors
        assert lake.run(None, dt.datetime(2025, 1, 16, 9), changed_since="auto"), lake.errors
    assert amounts(lake) == [1, 2, 3]


def test_auto_is_refused_when_the_last_such_run_is_later_than_this_one(lake: LakeUnderTest) -> None:
    order = b'{"order_id": "o_1", "created_at": "2025-01-15T10:00:00Z"}'
    assert lake.run([order], dt.datetime(2025, 3, 1), changed_since="auto"), lake.errors
    assert not lake.run([order], dt.datetime(2025, 2, 1), changed_since="auto")
    assert "--changed-since auto: the last such run was as of 2025-03-01T00:00:00.000000Z, later" in lake.errors[0]
