"""--changed-since: the dates of orders that were updated, and no others, are extracted again."""

import datetime as dt
import json
import random
from pathlib import Path

from api import QUICK, mock_api
from lake import LakeUnderTest

DAYS = 30
START = dt.datetime(2025, 1, 1)
DAY = dt.timedelta(days=1)


def month(draw: random.Random) -> list[list[bytes]]:
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


def test_a_month_of_daily_auto_runs_ends_in_the_rows_of_a_full_forced_load(tmp_path: Path) -> None:
    lake, full = LakeUnderTest(tmp_path / "daily"), LakeUnderTest(tmp_path / "full")
    feed = tmp_path / "feed.ndjson"
    days = month(random.Random(7))
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


def test_auto_does_not_go_on_from_a_run_that_looked_at_some_dates_only(lake: LakeUnderTest) -> None:
    order = b'{"order_id": "o_%d", "amount": %d, "created_at": "2025-01-%dT10:00:00Z"}'
    assert lake.run([order % (1, 1, 15), order % (2, 2, 16)], dt.datetime(2025, 2, 1)), lake.errors
    changed = [order % (1, 5, 15), order % (2, 5, 16)]
    assert lake.run(changed, dt.datetime(2025, 2, 2), dt.datetime(2025, 1, 16), changed_since="auto"), lake.errors
    assert "raw/_changed_since.json" not in lake.manifests()
    assert lake.run(None, dt.datetime(2025, 2, 3), changed_since=dt.datetime(2025, 2, 2)), lake.errors
    assert "raw/_changed_since.json" not in lake.manifests()
