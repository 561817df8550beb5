"""The laws, one example each: orders that move, vanish and come back, and settled and open dates."""

import datetime as dt
import json
import os
from collections import Counter

import pytest
from depth import deep
from feeds import order
from lake import UNDATED, LakeUnderTest

from pipeline import FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems

JAN_14, JAN_15, JAN_16, JAN_17 = (dt.date(2025, 1, day) for day in (14, 15, 16, 17))
SETTLED = dt.datetime(2025, 2, 1)  # all of January is settled then
LATER = SETTLED + dt.timedelta(hours=1)
LATEST = SETTLED + dt.timedelta(hours=2)


def on(day: int, order_id: str, time: str = "10:00:00", **fields) -> bytes:
    """An order of a day of January 2025."""
    return order(order_id, created_at=f"2025-01-{day:02}T{time}Z", **fields)


def ids(lake: LakeUnderTest, table: str = "fact_order") -> dict[dt.date, list[str]]:
    """The order_ids of each curated partition."""
    return {date: sorted({row[0] for row in rows}) for date, rows in lake.curated(table).items()}


def changed(before: dict, after: dict) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


# Law 2: one order, one place


def test_an_order_that_moves_to_another_date_leaves_the_old_one(lake):
    assert lake.run([on(15, "o_1", amount=10), on(15, "o_2")], SETTLED)
    assert lake.run([on(15, "o_2"), on(16, "o_1", amount=12)], LATER, force=True)
    assert ids(lake) == ids(lake, "order_items") == {JAN_15: ["o_2"], JAN_16: ["o_1"]}
    assert sum(row[3] for row in lake.curated("fact_order")[JAN_16]) == 12


def test_an_order_sent_again_under_another_date_is_in_the_date_of_its_latest_version(lake):
    old, new = on(16, "o_1", updated_at="2025-01-16T11:00:00Z"), on(15, "o_1", updated_at="2025-01-16T12:00:00Z")
    assert lake.run([old, new], SETTLED)
    assert ids(lake) == {JAN_15: ["o_1"], JAN_16: []}


def test_orders_that_swap_their_dates_are_in_one_place_each(lake):
    assert lake.run([on(15, "o_1"), on(16, "o_2"), on(15, "o_3"), on(16, "o_4")], SETTLED)
    assert lake.run([on(16, "o_1"), on(15, "o_2"), on(15, "o_3"), on(16, "o_4")], LATER, force=True)
    assert ids(lake) == {JAN_15: ["o_2", "o_3"], JAN_16: ["o_1", "o_4"]}


@pytest.fixture
def seen_twice(lake, monkeypatch) -> set[str]:
    """The order_ids that a reader finds in two dates at once, looking after each curated file that is replaced."""
    twice: set[str] = set()
    replace = os.replace

    def watched(source: str, target: str) -> None:
        replace(source, target)
        if str(target).endswith("fact_order.parquet"):
            places = Counter(order_id for found in ids(lake).values() for order_id in found)
            twice.update(order_id for order_id, dates in places.items() if dates > 1)

    monkeypatch.setattr(os, "replace", watched)
    return twice


def test_an_order_that_moves_is_never_in_two_dates_though_others_swap_theirs_meanwhile(lake, seen_twice):
    sent = [on(15, "swaps_1"), on(16, "swaps_2"), on(17, "moves_1"), on(19, "moves_2"), on(18, "moves_3")]
    assert lake.run(sent, SETTLED)
    again = [
        on(16, "swaps_1", updated_at="2025-01-20"),
        on(15, "swaps_2", updated_at="2025-01-20"),
        on(16, "moves_1", updated_at="2025-01-20"),
        on(18, "moves_2", updated_at="2025-01-20"),
        on(14, "moves_3", updated_at="2025-01-20"),
    ]
    assert lake.run([*sent, *again], LATER, force=True)
    assert {day.day: found for day, found in ids(lake).items()} == {
        14: ["moves_3"], 15: ["swaps_2"], 16: ["moves_1", "swaps_1"], 17: [], 18: ["moves_2"], 19: []
    }  # fmt: skip
    assert seen_twice == {"swaps_2"}


def test_a_date_written_alone_takes_its_order_out_of_the_other_date_too(lake):
    assert lake.run([on(15, "o_1"), on(15, "o_2")], SETTLED)
    moved = [on(15, "o_2"), on(16, "o_1")]
    assert lake.run_date(WriteFactOrder, JAN_16, moved, LATER)
    assert ids(lake) == ids(lake, "order_items") == {JAN_15: ["o_2"], JAN_16: ["o_1"]}


def test_a_run_of_a_complete_date_curates_what_normalizing_another_date_has_left_stale(lake):
    assert lake.run([on(15, "o_1"), on(15, "o_2"), on(17, "o_3")], SETTLED)
    moved = [on(15, "o_2"), on(16, "o_1"), on(17, "o_3")]
    assert lake.run_date(NormalizeOrders, JAN_16, moved, LATER)
    assert lake.run(moved, LATEST, since=dt.datetime(2025, 1, 17), until=dt.datetime(2025, 1, 18))
    assert ids(lake) == {JAN_15: ["o_2"], JAN_16: ["o_1"], JAN_17: ["o_3"]}


def test_a_winner_whose_normalized_file_is_lost_stays_the_only_one_when_the_loser_is_written_again(lake):
    old, new = on(15, "o_1"), on(16, "o_1")
    assert lake.run([old, new], SETTLED)
    (lake.root / f"normalized/date={JAN_16}/orders.parquet").unlink()
    if lake.run_date(WriteFactOrder, JAN_15, None, LATER, force=True):
        assert ids(lake) == {JAN_15: [], JAN_16: ["o_1"]}
    assert lake.run(None, LATEST)
    assert ids(lake) == {JAN_15: [], JAN_16: ["o_1"]}


@pytest.mark.parametrize("interrupted", [True, False], ids=["normalizing was interrupted", "its file was lost"])
def test_an_order_leaves_a_date_that_was_not_whole_when_the_order_moved_away(lake, interrupted):
    assert lake.run([on(15, "o_1"), on(15, "o_2")], SETTLED)
    if interrupted:  # as a kill leaves it
        manifest = lake.root / f"normalized/date={JAN_15}/_normalized.json"
        manifest.write_text(json.dumps(lake.manifest("normalized", JAN_15) | {"id": None}))
    else:
        (lake.root / f"normalized/date={JAN_15}/orders.parquet").unlink()
    # readers still find the order in the other date's curated file, so it is not published a second time
    assert not lake.run_date(WriteFactOrder, JAN_16, [on(15, "o_2"), on(16, "o_1")], LATER)
    (error,) = lake.errors
    assert "normalized/date=2025-01-15: not whole, and 1 order(s) are in curated/date=2025-01-15 and in date=" in error
    assert "run `luigi --module pipeline NormalizeOrders --date 2025-01-15 --local-scheduler`, then run again" in error
    assert lake.run(None, LATEST), lake.errors
    assert ids(lake) == {JAN_15: ["o_2"], JAN_16: ["o_1"]}


def test_an_order_whose_winner_vanished_comes_back_and_is_counted(lake, caplog):
    old, new, others = on(15, "o_1", amount=10), on(16, "o_1", amount=12), [on(16, f"p_{n}") for n in range(9)]
    assert lake.run([old, new, *others], SETTLED)
    assert "o_1" not in ids(lake)[JAN_15]
    assert lake.run_date(WriteFactOrder, JAN_16, [old, *others], LATER, force=True)
    assert ids(lake)[JAN_15] == ["o_1"]
    assert "o_1" not in ids(lake)[JAN_16]
    assert lake.manifest("fact_order", JAN_15)["counts"]["resurfaced"] == 1
    assert [message for message in caplog.messages if "resurfaced" in message] == ["event=resurfaced orders=1"]


# Law 1: nothing is lost


def test_what_is_discarded_is_in_quarantine_verbatim_with_its_reason(lake):
    no_id = b'{ "created_at" : "2025-01-15" , "x":"\\u00e9" }\r'
    lines = [on(15, "o_1"), no_id, b'{"order_id":"o_2",}', b'{"order_id":"o_3","created_at":"infinity"}']
    assert lake.run(lines, SETTLED)
    assert lake.quarantine() == {
        str(JAN_15): [("missing_order_id", no_id)],
        UNDATED: [("malformed_json", lines[2]), ("invalid_created_at", lines[3])],
    }
    summary = lake.summary(SETTLED)
    assert summary["dates"][str(JAN_15)]["discarded"] == {"missing_order_id": 1}
    assert summary["undated"]["extracted"] == 2
    assert summary["undated"]["discarded"] == {"malformed_json": 1, "invalid_created_at": 1}


def test_a_settled_date_that_differs_in_the_source_is_skipped_and_named(lake):
    assert lake.run([on(14, "o_0"), on(15, "o_1", amount=10)], SETTLED)
    files = lake.files()
    assert lake.run([on(14, "o_0"), on(15, "o_1", amount=99)], LATER)
    assert lake.files() == files
    summary = lake.summary(LATER)
    assert summary["settled_dates_that_differ"] == [str(JAN_15)]
    assert summary["dates"][str(JAN_15)]["skipped"]


def test_a_lost_quarantine_file_of_the_undated_records_is_made_again(lake):
    assert lake.run([on(15, "o_1"), b"no json"], SETTLED)
    files = lake.files()
    (lake.root / f"quarantine/date={UNDATED}/orders.parquet").unlink()
    assert lake.run(None, LATER)
    assert lake.files() == files


def test_a_date_that_failed_is_not_told_to_be_settled_and_skipped(lake):
    assert lake.run([on(15, f"o_{n}") for n in range(4)], SETTLED)
    assert not lake.run([on(15, "o_0")], LATER, force=True)
    summary = lake.summary(LATER)
    assert list(summary["failed"]) == [str(JAN_15)]
    assert summary["settled_dates_that_differ"] == []


# Law 4: a partition is whole


def test_since_at_noon_takes_the_whole_day(lake):
    lines, noon = [on(14, "o_0"), on(15, "o_1"), on(15, "o_2", "23:59:59"), on(16, "o_3")], dt.datetime(2025, 1, 15, 12)
    assert lake.run(lines, SETTLED, since=noon, until=noon + dt.timedelta(minutes=1))
    assert ids(lake) == {JAN_15: ["o_1", "o_2"]}


def test_an_extraction_without_many_landed_orders_fails_and_the_other_dates_are_published(lake):
    lines = [on(15, f"o_{n}") for n in range(10)] + [on(16, "p_1", amount=1)]
    assert lake.run(lines, SETTLED)
    shrunk = [*lines[:7], on(16, "p_1", amount=2)]
    assert not lake.run(shrunk, LATER, force=True)
    assert len(ids(lake)[JAN_15]) == 10
    assert sum(row[3] for row in lake.curated("fact_order")[JAN_16]) == 2
    (error,) = lake.summary(LATER)["failed"].items()
    assert error[0] == str(JAN_15)
    assert "3 of its 10" in error[1]
    assert "--allow-shrink" in error[1]
    assert lake.run(shrunk, LATEST, force=True, allow_shrink=True)
    assert len(ids(lake)[JAN_15]) == 7


def test_two_of_ten_orders_may_vanish_and_moved_ones_do_not_count(lake):
    assert lake.run([on(15, f"o_{n}") for n in range(10)], SETTLED)
    assert lake.run([on(15 if n < 4 else 16, f"o_{n}") for n in range(8)], LATER, force=True)
    assert ids(lake) == {JAN_15: [f"o_{n}" for n in range(4)], JAN_16: [f"o_{n}" for n in range(4, 8)]}


def test_a_date_without_orders_lands_empty_when_it_is_asked_for(lake):
    assert lake.run_date(WriteFactOrder, JAN_17, [on(15, "o_1")], SETTLED)
    assert lake.run_date(WriteOrderItems, JAN_17, None, LATER)
    assert lake.curated("fact_order") == lake.curated("order_items") == {JAN_17: []}
    assert lake.raw()[str(JAN_17)] == []


# Law 6: done is done, and only then


def test_a_second_identical_run_writes_no_published_file(lake):
    lines = [on(15, "o_1"), on(16, "o_1"), on(16, "o_2"), b"no json"]
    assert lake.run(lines, SETTLED)
    files, written, warehouse = lake.files(), lake.written(), lake.warehouse.stat().st_mtime_ns
    assert lake.run(lines, LATER)
    assert (lake.files(), lake.written()) == (files, written)
    assert lake.warehouse.stat().st_mtime_ns == warehouse
    assert lake.litter() == []


@pytest.mark.parametrize("flag", ["force", "reprocess"])
def test_doing_chosen_dates_again_rewrites_them_only_and_to_equal_bytes(lake, flag):
    assert lake.run([on(15, "o_1"), on(15, "o_2"), on(16, "o_1"), on(17, "o_3")], SETTLED)
    files, written = lake.files(), lake.written()
    if flag == "reprocess":
        lake.dump.unlink()  # the source is not asked
    assert lake.run(None, LATER, since=dt.datetime(2025, 1, 15), until=dt.datetime(2025, 1, 16), **{flag: True})
    assert lake.files() == files
    tables = ["normalized/{}/orders", "normalized/{}/items", "curated/{}/fact_order", "curated/{}/order_items"]
    keys = [f"normalized/date={JAN_15}/_orders.keys", f"curated/date={JAN_15}/_fact_order.keys"]
    expected = {*(f"{table.format(f'date={JAN_15}')}.parquet" for table in tables), *keys}
    assert changed(written, lake.written()) == expected


def test_a_lost_curated_file_is_rebuilt_and_no_other(lake):
    assert lake.run([on(15, "o_1"), on(16, "o_2")], SETTLED)
    files, written, lost = lake.files(), lake.written(), f"curated/date={JAN_15}/fact_order.parquet"
    (lake.root / lost).unlink()
    assert lake.run(None, LATER)
    assert lake.files() == files
    assert changed(written, lake.written()) == {lost, f"curated/date={JAN_15}/_fact_order.keys"}


def test_an_open_date_is_extracted_again_and_unchanged_content_rebuilds_nothing(lake):
    evening, night, morning = (dt.datetime(2025, 1, 15, 20), dt.datetime(2025, 1, 16, 5), dt.datetime(2025, 1, 16, 7))
    assert lake.run([on(15, "o_1")], evening)
    files, written = lake.files(), lake.written()
    assert lake.run(None, night)
    assert lake.manifest("raw", JAN_15)["asked_at"] == "2025-01-16T05:00:00.000000Z"
    assert (lake.files(), lake.written()) == (files, written)
    assert lake.run([on(15, "o_1"), on(15, "o_2")], morning)  # it was open until six
    assert ids(lake) == {JAN_15: ["o_1", "o_2"]}
    assert lake.run([on(15, "o_1"), on(15, "o_2"), on(15, "o_3")], morning + dt.timedelta(hours=1))
    assert ids(lake) == {JAN_15: ["o_1", "o_2"]}


def test_a_future_order_lands_once_its_time_has_come_though_the_dump_is_unchanged(lake):
    tomorrow = on(17, "o_2")
    assert lake.run([on(15, "o_1"), tomorrow], dt.datetime(2025, 1, 15, 12))
    assert lake.quarantine() == {UNDATED: [("future_created_at", tomorrow)]}
    assert lake.run(None, dt.datetime(2025, 1, 17, 12))
    assert ids(lake) == {JAN_15: ["o_1"], JAN_17: ["o_2"]}
    assert lake.quarantine() == {}


def test_an_update_from_the_future_counts_once_its_time_has_come_though_the_dump_is_unchanged(lake):
    old, new = on(15, "o_1", amount=1, updated_at="2025-01-18T10:00:00Z"), on(15, "o_1", "11:00:00", amount=2)
    assert lake.run([old, new], dt.datetime(2025, 1, 16, 5))
    assert sum(row[3] for row in lake.curated("fact_order")[JAN_15]) == 2
    assert lake.run(None, dt.datetime(2025, 1, 20))
    assert sum(row[3] for row in lake.curated("fact_order")[JAN_15]) == 1


@pytest.mark.parametrize("task", [FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems])
def test_reprocessing_a_date_that_is_not_landed_is_an_error(lake, task):
    lines = [on(15, "o_1"), on(16, "o_2")]
    assert lake.run(lines, SETTLED, until=dt.datetime(2025, 1, 16))
    assert not lake.run_date(task, JAN_16, lines, LATER, reprocess=True)
    assert any("NotLanded" in error or str(JAN_16) in error for error in lake.errors)
    assert str(JAN_16) not in lake.raw()


# Law 3: history does not matter


def test_two_workers_and_tasks_of_many_dates_make_the_bytes_of_one_worker_and_tasks_of_one(tmp_path):
    lines = [on(day, f"o_{n}", amount=n) for day in (14, 15, 16) for n in range(day, day + 20)]
    one, two = LakeUnderTest(tmp_path / "one"), LakeUnderTest(tmp_path / "two")
    assert one.run(lines, SETTLED, dates_per_task=9)
    assert two.run(lines, SETTLED, workers=2)
    assert one.files() == two.files()


def test_a_lake_that_grew_date_by_date_has_the_bytes_of_one_that_was_built_at_once(tmp_path):
    lines = [on(day, f"o_{n}", amount=n) for day in (14, 15, 16, 17) for n in range(day, day + 20)]
    grown, built = LakeUnderTest(tmp_path / "grown"), LakeUnderTest(tmp_path / "built")
    for hour, date in enumerate([JAN_16, JAN_14, JAN_17, JAN_15]):
        assert grown.run_date(WriteFactOrder, date, lines, SETTLED + dt.timedelta(hours=hour))
    assert grown.run(lines, LATER + dt.timedelta(days=1))
    assert built.run(lines, SETTLED)
    assert grown.files() == built.files()


def many_orders(day: int, first: int, number: int) -> list[bytes]:
    """Orders of a day, ids from `first` on, of none to four lines each."""
    item = '{"sku":"s_%d","qty":%d,"price":"%d.%d9"}'
    items = [",".join(item % (k, k + 1, n, k) for k in range(n % 5)) for n in range(50)]
    line = '{"order_id":"o_%06d","user_id":"u_%d","amount":%.2f,"created_at":"2025-01-%02dT%02d:00:00Z","items":[%s]}'
    numbers = range(first, first + number)
    return [(line % (n, n % 99, n / 7, day, n % 24, items[n % 50])).encode() for n in numbers]


@deep("tests of size")
def test_a_day_of_100_000_orders_rebuilt_alone_has_the_bytes_it_had_when_30_days_were_built_in_one_run(lake):
    busy = {15: (2_000, 100_000)}  # it holds orders of the days before it and after it, too
    days = [many_orders(day, *busy.get(day, (150 * day, 200))) for day in range(1, 31)]
    assert lake.run([line for lines in days for line in lines], SETTLED, dates_per_task=30)
    files = lake.files()
    for table in ("fact_order", "order_items"):
        (lake.root / f"curated/date={JAN_15}/{table}.parquet").unlink()
    for table in ("orders", "items"):
        (lake.root / f"normalized/date={JAN_15}/{table}.parquet").unlink()
    assert lake.run_date(WriteFactOrder, JAN_15, None, LATER)
    assert lake.run(None, LATEST, since=dt.datetime(2025, 1, 15), until=dt.datetime(2025, 1, 16), force=True)
    assert lake.files() == files
    assert lake.manifest("fact_order", JAN_14)["counts"]["superseded_elsewhere"] == 200
    assert lake.manifest("fact_order", JAN_15)["counts"]["kept"] == 100_000 - 2_300
