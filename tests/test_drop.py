"""A dropped date is empty in every layer, and stays empty in all runs until it is restored."""

import datetime as dt
import shutil

import pytest
from api import QUICK, mock_api
from depth import deep, some
from feeds import order
from lake import LakeUnderTest

from pipeline.commands.drop import restore_dates
from pipeline.commands.rebuild import rebuild
from pipeline.errors import BadSetting, RunFailed
from pipeline.lake import Run

SETTLED = [dt.datetime(2025, 2, day) for day in range(1, 10)]
KEPT, DROPPED, UNKNOWN = dt.date(2025, 1, 15), dt.date(2025, 1, 16), dt.date(2025, 1, 20)
ORDERS = [
    order("o_1"),
    order("o_2", created_at="2025-01-16T09:00:00Z"),
    order("o_3", created_at="2025-01-16T10:00:00Z"),
]


@pytest.fixture
def dropped(lake: LakeUnderTest) -> LakeUnderTest:
    """A lake with 15 and 16 January, of which the latter was dropped."""
    assert lake.run(ORDERS, SETTLED[0])
    lake.drop("2025-01-16", SETTLED[1])
    return lake


def ids(lake: LakeUnderTest) -> dict[dt.date, set[str]]:
    return {date: {row[0] for row in rows} for date, rows in lake.curated("fact_order").items()}


def test_a_dropped_date_is_empty_in_every_layer_and_the_others_are_as_they_were(dropped):
    assert dropped.raw()[str(DROPPED)] == []
    assert dropped.normalized("orders")[DROPPED] == dropped.curated("order_items")[DROPPED] == []
    assert ids(dropped) == {KEPT: {"o_1"}, DROPPED: set()}
    assert dropped.litter() == []


INTENTS = [{}, {"force": True}, {"reprocess": True}, {"changed_since": "auto"}]


@pytest.mark.parametrize("intent", some(INTENTS, INTENTS[1:2], "dropped dates"), ids=str)
def test_no_run_lands_a_dropped_date_again(dropped, intent):
    assert dropped.run([*ORDERS, order("o_4", created_at="2025-01-16")], SETTLED[2], **intent), dropped.errors
    assert ids(dropped) == {KEPT: {"o_1"}, DROPPED: set()}
    assert dropped.summary(SETTLED[2])["settled_dates_that_differ"] == []


@deep("dropped dates")
def test_an_open_date_that_is_dropped_is_not_extracted_again(lake):
    assert lake.run(ORDERS, dt.datetime(2025, 1, 16, 12))
    lake.drop("2025-01-16", dt.datetime(2025, 1, 16, 13))
    assert lake.run([*ORDERS, order("o_4", created_at="2025-01-16")], dt.datetime(2025, 1, 16, 14))
    assert lake.raw()[str(DROPPED)] == []


@deep("dropped dates")
def test_a_date_that_was_never_landed_can_be_dropped_beforehand(lake):
    lake.drop("2025-01-16", SETTLED[0])
    assert lake.run(ORDERS, SETTLED[1]), lake.errors
    assert ids(lake) == {KEPT: {"o_1"}, DROPPED: set()}


def test_plan_and_the_summary_name_a_dropped_date_with_the_reason(dropped, capsys):
    assert dropped.plan(SETTLED[2]) == ["2025-01-16  dropped    test orders", "0 date(s) to build, 2 to skip"]
    capsys.readouterr()
    assert dropped.run(None, SETTLED[2])
    assert "dropped: test orders" in capsys.readouterr().out
    dates = dropped.summary(SETTLED[2])["dates"]
    assert [dates[str(day)].get("dropped") for day in (KEPT, DROPPED)] == [None, "test orders"]


def test_dropping_leaves_a_summary_and_checks_what_it_rebuilt(dropped):
    summary = dropped.summary(SETTLED[1])
    assert summary["command"] == "drop"
    assert summary["dates"].keys() == {str(DROPPED)}
    assert summary["checks"]["every_record_is_counted"]["rows"] == 0


def test_an_order_whose_latest_version_is_dropped_comes_back_where_an_earlier_one_is(lake):
    moved = [order("o_1", amount=1), order("o_1", amount=2, created_at="2025-01-16", updated_at="2025-01-17")]
    assert lake.run(moved, SETTLED[0])
    assert ids(lake) == {KEPT: set(), DROPPED: {"o_1"}}
    lake.drop("2025-01-16", SETTLED[1])
    assert ids(lake) == {KEPT: {"o_1"}, DROPPED: set()}
    assert lake.manifest("fact_order", KEPT)["counts"]["resurfaced"] == 1


def test_a_restored_date_is_extracted_again_by_the_next_run_and_by_no_other_cause(dropped):
    assert dropped.restore("2025-01-15..2025-01-16", SETTLED[2]) == [
        "2025-01-15: it is not dropped",
        "2025-01-16: restored, the next run extracts it again",
    ]
    assert dropped.plan(SETTLED[2])[0] == "2025-01-16  fetch      not landed"
    assert dropped.run(None, SETTLED[2]), dropped.errors
    assert ids(dropped) == {KEPT: {"o_1"}, DROPPED: {"o_2", "o_3"}}


def test_a_date_that_somebody_restores_while_it_is_dropped_fails_in_one_line(lake, monkeypatch):
    assert lake.run(ORDERS, SETTLED[0])

    def somebody_restores(name: str, dates: list[str], run: Run) -> None:
        restore_dates(",".join(dates), run)
        rebuild(name, dates, run)

    monkeypatch.setattr("pipeline.commands.drop.rebuild", somebody_restores)
    with pytest.raises(RunFailed, match=r"raw/date=2025-01-16: not landed any more; another command .* run again"):
        lake.drop("2025-01-16", SETTLED[1])
    assert lake.run(None, SETTLED[2]), lake.errors
    assert ids(lake) == {KEPT: {"o_1"}, DROPPED: {"o_2", "o_3"}}


def test_what_is_made_from_a_dropped_date_and_its_raw_file_may_be_lost_without_the_source(dropped):
    for name in ("normalized", "curated"):
        shutil.rmtree(dropped.root / name / f"date={DROPPED}")
    (dropped.root / "raw" / f"date={DROPPED}" / "orders_raw.json").unlink()
    assert dropped.run(None, SETTLED[2], reprocess=True), dropped.errors
    assert ids(dropped) == {KEPT: {"o_1"}, DROPPED: set()}
    assert dropped.plan(SETTLED[3])[0] == "2025-01-16  dropped    test orders"


def test_the_tombstone_goes_with_the_raw_folder_of_its_date(dropped):
    shutil.rmtree(dropped.root / "raw" / f"date={DROPPED}")
    assert dropped.run(None, SETTLED[2]), dropped.errors
    assert ids(dropped)[DROPPED] == {"o_2", "o_3"}


def test_dropping_a_dropped_date_says_so_and_writes_nothing(dropped):
    written = dropped.written()
    assert dropped.drop("2025-01-16", SETTLED[2], "another reason") == ["2025-01-16: already dropped: test orders"]
    assert dropped.written() == written
    assert len(list((dropped.root / "runs").glob("*.json"))) == 2


@pytest.mark.parametrize(
    ("dates", "reason", "told"),
    [
        ("2025-02-30", "test", "--date 2025-02-30: expected a date in 1970 to 2199 such as"),
        ("2025-01-16..2025-01-15", "test", "--date 2025-01-16..2025-01-15: expected a date in 1970 to 2199 such as"),
        ("2025-02-01..2025-03-01", "test", "2025-03-01 is in the future; expected dates up to 2025-02-02"),
        ("2025-01-16", " ", "--reason: it is blank"),
    ],
)
def test_a_mistake_is_told_and_drops_nothing(lake, dates, reason, told):
    assert lake.run(ORDERS, SETTLED[0])
    written = lake.written()
    with pytest.raises(BadSetting, match=told):
        lake.drop(dates, SETTLED[0], reason)
    assert lake.written() == written


@deep("dropped dates")
def test_an_api_is_not_asked_for_a_dropped_date(lake, tmp_path):
    (tmp_path / "served.json").write_bytes(b"[" + b",".join(ORDERS) + b"]")
    with mock_api(tmp_path / "served.json") as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url}
        window = {"since": dt.datetime(2025, 1, 15), "until": dt.datetime(2025, 1, 17)}
        assert lake.run(None, SETTLED[0], **window), lake.errors
        lake.drop("2025-01-15..2025-01-16", SETTLED[1])
        api.reset()
        assert lake.run(None, SETTLED[2], **window, force=True), lake.errors
        assert api.stats()["requests"] == 0
        lake.restore("2025-01-16", SETTLED[2])
        assert lake.run(None, SETTLED[3], **window), lake.errors
    assert ids(lake) == {KEPT: set(), DROPPED: {"o_2", "o_3"}}
