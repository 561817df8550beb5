"""An API that does its worst. Each answer is under a limit of time and memory; tests/prove/ gives many more."""

import datetime as dt
import json
import threading
from collections.abc import Iterator

import pytest
from api import QUICK, Reply, Scripted, scripted
from depth import deep
from hostile import AS_OF, DRIPS, FLOODS, ODD, PAGE, SINCE, UNTIL, WRONG, asked, hostile, redirects, said, whole
from lake import LakeUnderTest


def names(always: str, often: str) -> list:
    """The names of answers: those of every run, and those of a deep run. tests/prove/ gives them all."""
    deeper = (pytest.param(name, marks=deep("hostile answers")) for name in often.split(", "))
    return [*always.split(", "), *deeper]


@pytest.mark.parametrize(
    "part", names("the size of a chunk", "other statuses before it, headers, a body, a refusal, the head of a redirect")
)
def test_a_page_that_drips_fails_its_date_within_the_budget_of_a_page(lake: LakeUnderTest, part: str) -> None:
    with asked(lake, DRIPS[part], attempts=3):
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    assert lake.raw() == {}


@pytest.mark.parametrize(
    "part",
    names("a packed body", "the body of a redirect, a body, a body packed twice, a packed refusal, headers, chunks"),
)
def test_an_endless_answer_is_not_kept_in_memory(lake: LakeUnderTest, part: str) -> None:
    with asked(lake, FLOODS[part]):
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    assert lake.raw() == {}


@pytest.mark.parametrize(
    "kind",
    names(
        "a redirect to a file",
        "200 with an error, HTML that calls itself JSON, a cursor of a megabyte, a cursor that comes again, "
        "a redirect that is not text, 101 headers",
    ),
)
def test_an_answer_that_is_no_page_fails_its_date_with_one_error(lake: LakeUnderTest, kind: str) -> None:
    answer, told = WRONG[kind]
    with asked(lake, said(answer), error="$.error"):
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    (error,) = lake.errors
    assert error.startswith("RunFailed: ")
    assert told in error
    assert len(error) < 1_000
    assert lake.raw() == {}


@pytest.mark.parametrize(
    "kind", names("a content type of HTML", "five redirects, 90 headers of 60 KB, a body packed twice")
)
def test_an_odd_answer_that_has_the_order_is_landed(lake: LakeUnderTest, kind: str) -> None:
    with asked(lake, ODD[kind](), total="header: X-Total"):
        assert lake.run(None, AS_OF, SINCE, UNTIL), lake.errors
    assert [row[0] for row in lake.normalized("orders")[SINCE.date()]] == ["o_1"]


def test_a_link_header_of_6_million_characters_is_read_at_once(lake: LakeUnderTest) -> None:
    with asked(lake, said(whole(PAGE, (b"Link: " + b"<" * 64_000 + b"\r\n") * 95)), pagination="link_header"):
        assert lake.run(None, AS_OF, SINCE, UNTIL), lake.errors


def test_orders_of_another_date_than_the_one_asked_for_are_discarded_and_lie_in_one_place(lake: LakeUnderTest) -> None:
    """The API sends the orders of all dates, whichever it is asked for, and one at each bound of the window."""
    times = ["14T23:59:59.999999Z", "15T00:00:00Z", "15T23:59:59.999999Z", "16T00:00:00Z"]
    orders = [{"order_id": f"o_{n}", "created_at": f"2025-01-{time}"} for n, time in enumerate(times)]
    with asked(lake, said(whole(json.dumps({"orders": orders}).encode()))):
        assert lake.run(None, AS_OF, SINCE, UNTIL + dt.timedelta(days=1)), lake.errors
    kept = {str(date): [row[0] for row in rows] for date, rows in lake.curated("fact_order").items()}
    assert kept == {"2025-01-15": ["o_1", "o_2"], "2025-01-16": ["o_3"]}
    assert [reason for reason, _ in lake.quarantine()["2025-01-15"]] == ["outside_window"] * 2


def test_full_pages_of_ever_new_orders_end_at_the_limit_of_a_window(lake: LakeUnderTest) -> None:
    def reply(api: Scripted, params: dict[str, str]) -> Reply:
        number = len(api.requests)
        orders = [{"order_id": f"o_{number}_{n}", "created_at": "2025-01-15T10:00:00Z"} for n in range(50)]
        return 200, {}, json.dumps({"orders": orders, "next_cursor": str(number)}).encode()

    with scripted(reply) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "max_window_bytes": 100_000}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
        assert len(api.requests) < 50
    assert "more than 100,000 bytes" in str(lake.errors)
    assert "max_window_bytes" in str(lake.errors)
    assert lake.raw() == {}


def test_what_an_api_says_does_not_control_the_terminal(
    lake: LakeUnderTest, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    says = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\n\x1b]0;owned\x07\xc2\x9b31m"
    with hostile(lambda _: iter([says])) as url:
        lake.settings["orders_api"] |= QUICK | {"url": url}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    captured = capfd.readouterr()
    assert "owned" in captured.out
    assert not {"\x1b", "\x07", "\x9b"} & set(captured.out + captured.err + caplog.text)


def test_a_loop_of_redirects_ends_after_five_hops(lake: LakeUnderTest) -> None:
    answered = []

    def answer(_: threading.Event) -> Iterator[bytes]:
        answered.append(1)
        yield redirects(b"/orders")

    with hostile(answer) as url:
        lake.settings["orders_api"] |= QUICK | {"url": url}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    assert len(answered) == 6
    assert "more than 5 redirects" in str(lake.errors)
