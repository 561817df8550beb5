"""A dump speaks for the moment at which it was written, whenever a run reads it."""

import datetime as dt
import json
import logging

import pytest
from depth import deep
from feeds import order
from lake import UNDATED, LakeUnderTest

from pipeline import WriteFactOrder

NOON = dt.datetime(2025, 1, 15, 12)
READ = dt.datetime(2025, 1, 20)
LATER = READ + dt.timedelta(hours=1)
JAN_15, JAN_16 = dt.date(2025, 1, 15), dt.date(2025, 1, 16)


def on(day: int, order_id: str, **fields) -> bytes:
    return order(order_id, created_at=f"2025-01-{day:02}T10:00:00Z", **fields)


def ids(lake: LakeUnderTest, date: dt.date) -> list[str]:
    return sorted({row[0] for row in lake.curated("fact_order")[date]})


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_half_a_day_in_a_dump_of_noon_is_not_final_however_late_it_is_read(lake: LakeUnderTest) -> None:
    lake.write_dump([on(14, "o_0"), on(15, "o_1")], NOON)
    assert lake.run(None, READ)
    said = lake.summary(READ)["dates"]
    assert said["2025-01-15"]["open"] == "open: the dump is of 2025-01-15 12:00"
    assert "open" not in said["2025-01-14"]
    assert lake.summary(READ)["newest_settled_date"] == "2025-01-14"
    assert lake.plan(LATER)[0] == "2025-01-15  fetch      open: the dump is of 2025-01-15 12:00"
    lake.write_dump([on(14, "o_0"), on(15, "o_1"), on(15, "o_2")], READ)
    assert lake.run(None, LATER)
    assert ids(lake, JAN_15) == ["o_1", "o_2"]
    assert lake.plan(LATER + dt.timedelta(hours=1)) == ["0 date(s) to build, 2 to skip"]


def test_the_table_of_a_run_says_which_dates_the_dump_leaves_open(lake: LakeUnderTest, capsys) -> None:
    lake.write_dump([on(14, "o_0"), on(15, "o_1")], NOON)
    assert lake.run(None, READ)
    shown = capsys.readouterr().out
    assert "built (not landed); open: the dump is of 2025-01-15 12:00" in shown
    assert lake.run(None, LATER)
    assert "asked again (open: the dump is of" in capsys.readouterr().out


def test_an_unchanged_stale_dump_rebuilds_nothing_and_is_not_read_again(lake: LakeUnderTest, caplog) -> None:
    lake.write_dump([on(14, "o_0"), on(15, "o_1"), order("o_2", created_at="soon")], NOON)
    assert lake.run(None, READ)
    written = lake.written()
    caplog.clear()
    assert lake.run(None, LATER)
    assert lake.written() == written
    assert not [message for message in caplog.messages if "event=dump_read" in message]


def test_a_record_from_after_the_dump_was_written_is_in_its_future(lake: LakeUnderTest) -> None:
    late, future = on(15, "o_1", updated_at="2025-01-18T00:00:00Z"), on(17, "o_2")
    lake.write_dump([on(14, "o_0"), late, future], NOON)
    assert lake.run(None, READ)
    assert lake.quarantine()[UNDATED] == [("future_created_at", future)]
    assert lake.normalized("orders")[JAN_15][0][5] is None


def test_an_mtime_before_most_of_the_records_is_not_believed(lake: LakeUnderTest, caplog) -> None:
    lake.write_dump([on(14, "o_0"), on(15, "o_1"), on(16, "o_2")], dt.datetime(1980, 1, 1))
    assert lake.run(None, READ)
    assert lake.quarantine() == {}
    assert {str(date) for date in lake.curated("fact_order")} == {"2025-01-14", "2025-01-15", "2025-01-16"}
    (warning,) = warnings(caplog)
    assert "event=mtime_not_believed" in warning
    reason = "3 of its 3 dated records are later than its modification time; the dump counts as written now"
    assert f'reason="{reason}"' in warning
    assert lake.plan(LATER) == ["0 date(s) to build, 3 to skip"]


def test_an_older_dump_replaces_a_later_answer_only_with_force(lake: LakeUnderTest, caplog) -> None:
    today = dt.datetime(2025, 1, 15, 20)
    lake.write_dump([on(14, "o_0"), on(15, "o_1"), on(15, "o_2")], today)
    assert lake.run(None, today)
    lake.write_dump([on(14, "o_0"), on(15, "o_1")], NOON)
    assert lake.run(None, today + dt.timedelta(hours=1))
    assert ids(lake, JAN_15) == ["o_1", "o_2"]
    (warning,) = warnings(caplog)
    assert "event=older_dump dates=2025-01-15" in warning
    assert lake.manifest("raw", JAN_15)["answers_as_of"] == "2025-01-15T20:00:00.000000Z"
    forced = today + dt.timedelta(hours=2)
    assert lake.run_date(WriteFactOrder, JAN_15, None, forced, force=True, allow_shrink=True)
    assert ids(lake, JAN_15) == ["o_1"]
    assert lake.manifest("raw", JAN_15)["answers_as_of"] == "2025-01-15T12:00:00.000000Z"


def test_an_open_date_that_the_dump_of_another_day_does_not_hold_stays_as_it_is(lake: LakeUnderTest, caplog) -> None:
    lake.write_dump([on(15, "o_1"), on(15, "o_2")], NOON)
    assert lake.run(None, NOON)
    next_noon = NOON + dt.timedelta(days=1)
    lake.write_dump([on(16, "o_3")], next_noon)
    assert lake.run(None, next_noon), lake.errors
    assert (ids(lake, JAN_15), ids(lake, JAN_16)) == (["o_1", "o_2"], ["o_3"])
    (warning,) = warnings(caplog)
    assert "event=open_date_not_in_dump dates=2025-01-15" in warning
    assert "settle_hours = 0" in warning
    assert lake.summary(next_noon)["dates"]["2025-01-15"]["open"].startswith("open: the dump is of 2025-01-15 12:00")


@deep("stale dumps")
def test_an_open_date_whose_orders_the_dump_has_under_other_dates_is_emptied(lake: LakeUnderTest) -> None:
    late = NOON + dt.timedelta(hours=14)
    lake.write_dump([on(15, "o_1"), on(15, "o_2"), on(16, "o_3")], late)
    assert lake.run(None, late)
    lake.write_dump([on(16, "o_1"), on(16, "o_2"), on(16, "o_3")], late + dt.timedelta(hours=1))
    assert lake.run(None, late + dt.timedelta(hours=2)), lake.errors
    assert (ids(lake, JAN_15), ids(lake, JAN_16)) == ([], ["o_1", "o_2", "o_3"])


def test_a_dump_of_before_in_a_lake_of_before_is_taken_on(lake: LakeUnderTest) -> None:
    """Manifests of before hold `extracted_at`, which is when the run was and what its answer spoke for."""
    assert lake.run([on(14, "o_0"), on(15, "o_1")], READ)
    for path in lake.root.glob("raw/date=*/_raw.json"):
        manifest = json.loads(path.read_text())
        moment = manifest.pop("asked_at")
        del manifest["answers_as_of"]
        path.write_text(json.dumps(manifest | {"extracted_at": moment}))
    assert lake.plan(LATER) == ["0 date(s) to build, 2 to skip"]
    written = lake.written()
    assert lake.run(None, LATER)
    assert lake.written() == written
    assert lake.run(None, LATER + dt.timedelta(hours=1), force=True)
    assert "extracted_at" not in lake.manifest("raw", JAN_15)


def test_a_dump_whose_mtime_is_not_believed_is_read_once_if_nothing_in_it_is_in_the_future(
    lake: LakeUnderTest, caplog
) -> None:
    lake.write_dump([on(14, "o_0"), on(15, "o_1")], dt.datetime(1980, 1, 1))
    assert lake.run(None, READ)
    caplog.clear()
    assert lake.run(None, LATER)
    assert not [message for message in caplog.messages if "event=dump_read" in message or "not_believed" in message]
