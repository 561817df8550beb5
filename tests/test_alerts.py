"""Alerts: when a run sends a message, what the message says, and that a receiver on this machine gets it."""

import datetime as dt
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from api import QUICK, Scripted, scripted
from feeds import order
from lake import LakeUnderTest

from pipeline import RunAll, WriteFactOrder
from pipeline.commands.drop import drop_dates

# a moment at which all dates of the orders below are settled for long
LATER = dt.datetime(2025, 3, 1)
# for tests of the other rules
NOTHING_IS_MISSED = {"no_data_after_hours": 10_000}
DAY_15, DAY_16 = dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 16)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Takes the messages; its address is in the environment, as that of people's channel is."""
    with scripted(lambda *_: (200, {}, b"")) as channel:
        monkeypatch.setenv("ORDERS_ALERT_URLS", channel.url.replace("http://", "json://").replace("/orders", "/alerts"))
        yield channel


def messages(receiver: Scripted) -> list[dict[str, Any]]:
    return [json.loads(body) for body in receiver.bodies]


def told(receiver: Scripted) -> str:
    """The one message, title and text."""
    (message,) = messages(receiver)
    return f"{message['title']}\n{message['message']}"


def good(count: int, date: str = "2025-01-15") -> list[bytes]:
    return [order(f"o_{date}_{number}", created_at=f"{date}T10:00:00Z") for number in range(count)]


def bad(count: int) -> list[bytes]:
    """Records without an order_id."""
    return [order("", created_at="2025-01-15T10:00:00Z", amount=number) for number in range(count)]


# Retry exhaustion


def test_an_api_that_never_answers_is_told_with_the_dates_and_the_command(
    lake: LakeUnderTest, receiver: Scripted
) -> None:
    with scripted(lambda *_: (503, {}, b"")) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "attempts": 2}
        assert not lake.run(None, LATER, DAY_15, dt.datetime(2025, 1, 17))
    text = told(receiver)
    assert "the API gave no answer for 2 date(s)" in text
    assert "2025-01-15..2025-01-16" in text
    assert "python -m pipeline --since 2025-01-15 --until 2025-01-17" in text
    assert str(lake.root / "runs/20250301T000000.000000Z.json") in text


def test_an_api_that_answers_at_the_second_attempt_is_not_told(lake: LakeUnderTest, receiver: Scripted) -> None:
    page = json.dumps({"orders": [json.loads(order("o_1", created_at="2025-01-15T10:00:00Z"))]}).encode()
    with scripted(lambda api, _: (503, {}, b"") if len(api.requests) == 1 else (200, {}, page)) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "attempts": 2}
        assert lake.run(None, LATER, DAY_15, DAY_16), lake.errors
    assert messages(receiver) == []


# No new data


@pytest.mark.parametrize(
    ("as_of", "silent"),
    [
        ("2025-01-16T23:00", None),
        ("2025-01-17T01:00", "2025-01-16"),
        ("2025-01-17T23:00", "2025-01-16"),
        ("2025-01-18T01:00", "2025-01-16..2025-01-17"),
        ("2025-01-18T07:00", "2025-01-17"),
    ],
    ids=["not_for_24_hours", "for_25_hours", "settled", "two_dates", "settled_for_over_a_day"],
)
def test_a_date_without_orders_is_told_while_it_is_open_or_newly_settled(
    lake: LakeUnderTest, receiver: Scripted, as_of: str, silent: str | None
) -> None:
    """The last order came on the 15th; [alerts] no_data_after_hours is 24, settle_hours 6."""
    assert lake.run(good(3), dt.datetime.fromisoformat(as_of)), lake.errors
    assert (f"no orders of {silent}\n" in told(receiver)) if silent else (messages(receiver) == [])


def test_a_date_outside_of_the_run_is_not_missed(lake: LakeUnderTest, receiver: Scripted) -> None:
    assert lake.run(good(3), dt.datetime(2025, 1, 17, 12), DAY_15, DAY_16), lake.errors
    assert messages(receiver) == []


def test_a_date_that_was_dropped_on_purpose_is_not_missed(lake: LakeUnderTest, receiver: Scripted) -> None:
    with lake.configured():
        drop_dates("2025-01-16", "stocktaking", RunAll(stamp=dt.datetime(2025, 1, 17)).this_run)
    assert lake.run(good(3), dt.datetime(2025, 1, 17, 12)), lake.errors
    assert messages(receiver) == []


# Discards


@pytest.mark.parametrize(
    ("records", "share", "fires"),
    [(good(80) + bad(20), 0.1, True), (good(80) + bad(20), 0.2, False), (good(1) + bad(9), 0.1, False)],
    ids=["more_than_the_share", "just_the_share", "too_few_to_matter"],
)
def test_many_discarded_records_are_told_by_reason(
    lake: LakeUnderTest, receiver: Scripted, records: list[bytes], share: float, fires: bool
) -> None:
    lake.settings["alerts"] = NOTHING_IS_MISSED | {"max_discard_share": share, "min_discarded": 10}
    lake.settings["health"] = {"max_unreadable_share": 1}
    assert lake.run(records, LATER), lake.errors
    assert ("20 of 100 records discarded (20 missing_order_id)" in told(receiver)) if fires else not messages(receiver)


@pytest.mark.parametrize(("unreadable", "fires"), [(2, True), (1, False)])
def test_a_field_that_more_orders_lack_than_health_allows_is_told(
    lake: LakeUnderTest, receiver: Scripted, unreadable: int, fires: bool
) -> None:
    lake.settings["alerts"] = NOTHING_IS_MISSED
    wrong = [order(f"w_{n}", amount="much") for n in range(unreadable)]
    assert lake.run(good(30) + wrong, LATER), lake.errors
    if not fires:
        assert not messages(receiver)
        return
    assert "amount not as expected" in told(receiver)
    assert "amount: 2 of 32 orders have one that cannot be read" in told(receiver)


def test_what_an_earlier_run_discarded_is_not_told_again(lake: LakeUnderTest, receiver: Scripted) -> None:
    lake.settings["alerts"] = NOTHING_IS_MISSED
    assert lake.run(good(10) + bad(20), LATER), lake.errors
    assert lake.run(None, LATER + dt.timedelta(hours=1)), lake.errors
    assert len(messages(receiver)) == 1


# Failures


def test_a_date_that_fails_is_told_with_what_to_do(lake: LakeUnderTest, receiver: Scripted) -> None:
    lake.settings["alerts"] = NOTHING_IS_MISSED
    assert lake.run(good(3) + good(3, "2025-01-16"), LATER), lake.errors
    (lake.root / "raw/date=2025-01-16/orders_raw.json").write_bytes(b"x" * len(b"".join(good(3)) + b"xxx"))
    assert not lake.run(None, LATER + dt.timedelta(hours=1), reprocess=True)
    text = told(receiver)
    assert "1 date(s) failed" in text
    assert "python -m pipeline --since 2025-01-16 --until 2025-01-17 --reprocess" in text


def test_a_run_that_never_had_a_summary_is_told(lake: LakeUnderTest, receiver: Scripted) -> None:
    assert not lake.run(None, LATER)
    text = told(receiver)
    assert "RunAll failed" in text
    assert str(lake.dump) in text


def test_a_single_task_that_fails_is_told_once(lake: LakeUnderTest, receiver: Scripted) -> None:
    assert not lake.run_date(WriteFactOrder, dt.date(2025, 1, 15), None, LATER)
    assert "FetchOrders failed" in told(receiver)


def test_a_run_in_which_all_is_well_tells_nothing(lake: LakeUnderTest, receiver: Scripted) -> None:
    lake.settings["alerts"] = NOTHING_IS_MISSED
    assert lake.run(good(3), LATER), lake.errors
    assert messages(receiver) == []


def test_several_findings_are_one_message(lake: LakeUnderTest, receiver: Scripted) -> None:
    lake.settings["alerts"] = {"min_discarded": 1}
    lake.products_csv.write_bytes(b"\xff\xfe")
    assert not lake.run(good(3) + bad(3), dt.datetime(2025, 1, 17, 12))
    text = told(receiver)
    assert all(what in text for what in ("1 error(s)", "no orders of 2025-01-16", "3 of 6 records discarded"))


# Channels


@pytest.mark.parametrize(
    "urls", ["json://127.0.0.1:9/hook", "nonsense://secret-of-the-hook", "slack://secret-of-the-hook"]
)
def test_a_broken_channel_fails_no_run_and_shows_no_secret(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, urls: str
) -> None:
    monkeypatch.setenv("ORDERS_ALERT_URLS", urls)
    lake.settings["alerts"] = {"min_discarded": 1}
    with caplog.at_level(logging.DEBUG):
        assert lake.run(good(3) + bad(3), LATER), lake.errors
    assert "event=alert_failed" in caplog.text
    assert "secret-of-the-hook" not in caplog.text


def test_without_a_channel_nothing_is_sent_or_written(lake: LakeUnderTest) -> None:
    assert not lake.run(None, LATER)
    assert not list(lake.root.rglob("alerted"))


# Heartbeat


def test_the_heartbeat_is_pinged_by_a_run_that_succeeds_and_by_no_other(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(lambda *_: (200, {}, b"OK")) as watcher:
        monkeypatch.setenv("ORDERS_HEARTBEAT_URL", watcher.url)
        assert not lake.run(None, LATER)
        assert watcher.requests == []
        assert lake.run(good(3), LATER + dt.timedelta(hours=1)), lake.errors
        assert [path for path, _, _ in watcher.requests] == ["/orders"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/secret-of-the-ping", "no url", "file:///dev/null"])
def test_a_heartbeat_that_nobody_takes_fails_no_run(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv("ORDERS_HEARTBEAT_URL", url)
    assert lake.run(good(3), LATER), lake.errors
    assert "event=heartbeat_failed" in caplog.text
    assert "secret-of-the-ping" not in caplog.text
