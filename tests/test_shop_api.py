"""The answers of an API and what they do to the dates of a run, with a scripted server and real HTTP."""

import base64
import datetime as dt
import gzip
import json
import logging
import tracemalloc
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock
from urllib.parse import quote

import pytest
from api import QUICK, Reply, Scripted, scripted
from depth import some
from hypothesis import given
from hypothesis import strategies as st
from lake import LakeUnderTest

from pipeline.sources.rest import pages
from pipeline.sources.rest.client import retry_after
from pipeline.sources.rest.shop import Request, origin

SINCE, UNTIL, AS_OF = dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 16), dt.datetime(2025, 2, 1)
DATE = dt.date(2025, 1, 15)
SECRET = "s3cret-of-the-shop"
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
JSON = st.recursive(SCALAR | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def order(number: int, created_at: str = "2025-01-15T10:00:00Z") -> str:
    return f'{{"order_id": "o_{number}", "created_at": "{created_at}"}}'


def page(*orders: str, **envelope: Any) -> bytes:
    rest = "".join(f', "{name}": {json.dumps(value)}' for name, value in envelope.items())
    return f'{{"orders": [{", ".join(orders)}]{rest}}}'.encode()


def run(lake: LakeUnderTest, api: Scripted, until: dt.datetime = UNTIL, **settings: Any) -> bool:
    lake.settings["orders_api"] |= QUICK | {"url": api.url, "attempts": 3} | settings
    return lake.run(None, AS_OF, SINCE, until)


def ids(lake: LakeUnderTest, date: dt.date = DATE) -> list[str]:
    return [row[0] for row in lake.normalized("orders")[date]]


WRONG = {
    "500": (500, {}, b""),
    "408": (408, {}, b""),
    "429": (429, {"Retry-After": "0"}, b""),
    "cut": (200, {"Content-Length": "1000"}, page(order(1))),
    "invalid": (200, {}, page(order(1))[:-9]),
    "html": (200, {"Content-Type": "text/html"}, b"<html>back soon</html>"),
    "error_with_200": (200, {}, b'{"error": "overloaded", "orders": []}'),
    "no_array": (200, {}, b'{"message": "no orders here"}'),
}


@pytest.mark.parametrize("wrong", some(WRONG, ["429", "cut", "error_with_200"], "faulty APIs"))
def test_a_page_that_goes_wrong_once_is_asked_for_again(lake: LakeUnderTest, wrong: str) -> None:
    def reply(api: Scripted, _: dict[str, str]) -> Reply:
        return WRONG[wrong] if len(api.requests) == 1 else (200, {"Connection": "close"}, page(order(1)))

    with scripted(reply) as api:
        assert run(lake, api), lake.errors
    assert ids(lake) == ["o_1"]
    assert sum(lake.summary(AS_OF)["api"]["retries"].values()) == 1


def test_status_204_is_the_end_of_the_pages_and_of_an_empty_window(lake: LakeUnderTest) -> None:
    def reply(_: Scripted, params: dict[str, str]) -> Reply:
        has_orders = params["created_from"] == "2025-01-15T00:00:00Z" and int(params["page"]) <= 2
        return (200, {}, page(order(int(params["page"])))) if has_orders else (204, {}, b"")

    with scripted(reply) as api:
        assert run(lake, api, UNTIL + dt.timedelta(days=1), pagination="page_number", total=""), lake.errors
    assert ids(lake) == ["o_1", "o_2"]
    assert ids(lake, dt.date(2025, 1, 16)) == []
    assert len(api.requests) == 4
    assert {headers["Accept"] for _, _, headers in api.requests} == {"application/json"}


@pytest.mark.parametrize(("status", "setting"), [(400, "since_param"), (401, "token_env"), (403, "auth"), (404, "url")])
def test_another_4xx_fails_at_once_and_names_the_setting(lake: LakeUnderTest, status: int, setting: str) -> None:
    with scripted(lambda *_: (status, {}, b"no")) as api:
        assert not run(lake, api)
    assert len(api.requests) == 1
    assert setting in lake.errors[-1]
    assert f"status {status}" in lake.errors[-1]


def test_a_date_whose_page_never_comes_fails_alone_and_the_next_run_heals_it(lake: LakeUnderTest) -> None:
    broken = [True]

    def reply(_: Scripted, params: dict[str, str]) -> Reply:
        day = params["created_from"][:10]
        if broken[0] and day == "2025-01-16":
            return 503, {}, b""
        return 200, {}, page(order(int(day[-2:]), f"{day}T10:00:00Z"))

    with scripted(reply) as api:
        assert not run(lake, api, dt.datetime(2025, 1, 18))
        assert "date=2025-01-16: " in lake.errors[-1]
        assert "after 3 attempts" in lake.errors[-1]
        assert sorted(map(str, lake.curated("fact_order"))) == ["2025-01-15", "2025-01-17"]
        broken[0] = False
        assert lake.run(None, AS_OF + dt.timedelta(hours=1), SINCE, dt.datetime(2025, 1, 18)), lake.errors
    assert ids(lake, dt.date(2025, 1, 16)) == ["o_16"]
    assert lake.litter() == []


@pytest.mark.parametrize(
    ("reply", "settings", "told"),
    [
        (lambda api, _: (200, {}, page(next_cursor=str(len(api.requests)))), {}, "empty pages in a row"),
        (lambda api, _: (200, {}, page(order(len(api.requests)), next_cursor="same")), {}, "requested before"),
        (lambda *_: (200, {}, page(order(1))), {"pagination": "page_number"}, "the same records as the page before"),
        (lambda *_: (200, {}, b" " * 5000), {"max_page_bytes": 4096}, "max_page_bytes"),
        (
            lambda *_: (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 5_000_000)),
            {"max_page_bytes": 100_000},
            "max_page_bytes",
        ),
        (
            lambda *_: (200, {"Link": '<https://elsewhere.example/orders?page=2>; rel="next"'}, page(order(1))),
            {"pagination": "link_header"},
            "a next page at elsewhere.example",
        ),
        (
            lambda api, _: (200, {}, page(*(order(n) for n in range(len(api.requests))), total=100)),
            {},
            "of 5 passes, no two in a row gave the same records",
        ),
    ],
    ids=["empty_pages", "repeated_cursor", "ignored_page", "too_large", "inflates", "other_host", "unstable"],
)
def test_pages_that_come_to_no_end_are_an_error_and_no_loop(
    lake: LakeUnderTest, reply: Any, settings: dict[str, Any], told: str
) -> None:
    with scripted(reply) as api:
        assert not run(lake, api, **settings)
    assert told in lake.errors[-1]
    assert lake.curated("fact_order") == {}


def test_what_an_api_gives_for_another_date_is_discarded_with_a_warning(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted(lambda *_: (200, {}, page(order(1), order(2, "2025-01-16T00:00:00Z"), order(3, "soon")))) as api:
        assert run(lake, api), lake.errors
    assert ids(lake) == ["o_1"]
    reasons = [reason for reason, _ in lake.quarantine()["2025-01-15"]]
    assert sorted(reasons) == ["invalid_created_at", "outside_window"]
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "event=outside_window date=2025-01-15 records=1" in warned


def test_strange_records_are_landed_as_they_came_and_stop_nothing(lake: LakeUnderTest) -> None:
    deep = f'{{"order_id": "o_2", "created_at": "2025-01-15T10:00:00Z", "metadata": {"[" * 3000}{"]" * 3000}}}'
    half = '{"order_id": "\\ud800", "created_at": "2025-01-15T10:00:00Z"}'
    huge = '{"order_id": "o_3", "created_at": "2025-01-15T10:00:00Z", "amount": 1e400}'
    body = page(order(1), deep, half, huge).replace(b", {", b",\n  {")
    with scripted(lambda *_: (200, {}, body)) as api:
        assert run(lake, api), lake.errors
    assert lake.raw()["2025-01-15"] == [text.encode() for text in (order(1), deep, half, huge)]
    assert [reason for reason, _ in lake.quarantine()["2025-01-15"]] == ["malformed_json"]
    assert ids(lake) == ["o_1", "o_2", "o_3"]


@pytest.mark.parametrize("auth", ["bearer", "header", "basic"])
def test_a_secret_is_in_nothing_that_a_failing_run_writes(
    auth: str,
    lake: LakeUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The API answers one page, then repeats what it was sent, as careless ones do."""
    for name in ("ORDERS_API_TOKEN", "ORDERS_API_USER", "ORDERS_API_PASSWORD"):
        monkeypatch.setenv(name, SECRET)

    def reply(api: Scripted, _: dict[str, str]) -> Reply:
        sent = json.dumps(api.requests[-1][2]).encode()
        return (200, {}, page(order(1), next_cursor="2")) if len(api.requests) == 1 else (401, {}, sent)

    with scripted(reply) as api:
        assert not run(lake, api, auth=auth, auth_header="X-Token")
    sent = "".join(api.requests[0][2].values())
    both = base64.b64encode(f"{SECRET}:{SECRET}".encode()).decode()
    assert (SECRET if auth != "basic" else both) in sent
    written = [path.read_bytes() for path in lake.root.rglob("*") if path.is_file()]
    told = capfd.readouterr()
    everything = b"\n".join([*written, caplog.text.encode(), told.out.encode(), told.err.encode()])
    everything += "\n".join(lake.errors).encode()
    assert b"status 401" in everything
    assert SECRET.encode() not in everything
    assert both.encode() not in everything


@pytest.mark.parametrize(
    "repeat",
    [
        lambda secret: json.dumps({"you sent": secret}),
        lambda secret: json.dumps({"you sent": secret}).replace("/", "\\/"),
        lambda secret: f"no such key: {quote(secret, safe='')}",
        lambda secret: " " * 150 + secret,
    ],
    ids=["json", "php_json", "url", "at_the_cut"],
)
def test_a_secret_is_hidden_however_the_api_spells_it(
    repeat: Callable[[str], str], lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'geheim/"key"+1&2=3'
    monkeypatch.setenv("ORDERS_API_TOKEN", secret)
    with scripted(lambda *_: (403, {}, repeat(secret).encode())) as api:
        assert not run(lake, api, auth="header", auth_header="X-Token")
    assert api.requests[0][2]["X-Token"] == secret
    assert "status 403" in lake.errors[-1]
    for spelt in (secret, json.dumps(secret)[1:-1], quote(secret, safe="")):
        assert spelt[:9] not in lake.errors[-1]


def test_a_refusal_that_cannot_be_read_is_one_line_all_the_same(lake: LakeUnderTest) -> None:
    with scripted(lambda *_: (401, {"Content-Encoding": "gzip"}, b"no gzip")) as api:
        assert not run(lake, api)
    assert "status 401: an answer that cannot be read" in lake.errors[-1]


@pytest.mark.parametrize(
    "link",
    [
        '<{url}?page=2>; rel="next"',
        "<{url}?page=2>; rel=next",
        '<{url}?page=1>; rel="first", <{url}?page=2>; title="a, b; c"; REL="last NEXT"',
        "<?page=2>; rel='next'",
    ],
)
def test_a_link_header_is_read_as_rfc_8288_has_it(lake: LakeUnderTest, link: str) -> None:
    def reply(api: Scripted, params: dict[str, str]) -> Reply:
        if "page" in params:
            return 200, {}, page(order(2))
        return 200, {"Link": link.format(url=api.url)}, page(order(1))

    with scripted(reply) as api:
        assert run(lake, api, pagination="link_header"), lake.errors
    assert ids(lake) == ["o_1", "o_2"]


def test_the_port_that_a_scheme_has_anyway_makes_no_other_host() -> None:
    assert origin("https://shop.example:443/orders") == origin("https://SHOP.example/orders")
    assert origin("https://shop.example:8443/orders") != origin("https://shop.example/orders")


def test_more_orders_without_a_cursor_to_them_are_a_fault_and_not_the_end(lake: LakeUnderTest) -> None:
    def reply(api: Scripted, params: dict[str, str]) -> Reply:
        if "cursor" in params:
            return 200, {}, page(order(2), more=False)
        return 200, {}, page(order(1), more=True, **({} if len(api.requests) == 1 else {"next_cursor": "2"}))

    with scripted(reply) as api:
        assert run(lake, api, has_more="$.more"), lake.errors
    assert ids(lake) == ["o_1", "o_2"]


def test_a_total_that_is_too_small_ends_no_window(lake: LakeUnderTest) -> None:
    """The total was counted before two orders came: the pages go on until there is nothing on one."""
    pages = {"1": [order(1), order(2)], "2": [order(3)], "3": []}
    with scripted(lambda _, params: (200, {}, page(*pages[params["page"]], total=1))) as api:
        assert run(lake, api, pagination="page_number"), lake.errors
    assert ids(lake) == ["o_1", "o_2", "o_3"]


def test_a_path_that_is_given_empty_is_not_the_presets(lake: LakeUnderTest) -> None:
    """This API's `total` counts all orders of the shop, its `error` says that there was none."""
    with scripted(lambda *_: (200, {}, page(order(1), total=7, error="none"))) as api:
        assert run(lake, api, total="", error=""), lake.errors
        assert len(api.requests) == 1
    assert ids(lake) == ["o_1"]


@pytest.mark.parametrize("auth", ["bearer", "header"])
def test_a_secret_does_not_follow_a_redirect_to_another_host(
    auth: str, lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_API_TOKEN", SECRET)
    with scripted(lambda *_: (200, {}, page(order(1)))) as elsewhere:
        with scripted(lambda *_: (307, {"Location": elsewhere.url}, b"")) as api:
            assert run(lake, api, auth=auth, auth_header="X-Token"), lake.errors
        assert SECRET in str(api.requests[0][2])
        assert SECRET not in str(elsewhere.requests)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "http://shop.example/orders", "auth": "bearer"}, "allow_insecure"),
        ({"url": "https://key:hunter2@shop.example/orders"}, "without user or password"),
        ({"url": "https://shop.example/orders?key=hunter2"}, "without parameters"),
        ({"url": "https://shop.example/orders", "auth": "bearer", "token_env": "NO_SUCH"}, "NO_SUCH"),
        ({"url": "https://shop.example/orders", "pagination": "offset", "offset_param": ""}, "offset_param"),
        ({"url": "https://shop.example/orders", "auth": "header", "auth_header": "X Key:"}, "a header's name"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_line(
    lake: LakeUnderTest, settings: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_API_TOKEN", SECRET)
    lake.settings["orders_api"] |= settings
    assert not lake.run(None, AS_OF, SINCE, UNTIL)
    assert any(told in error for error in lake.errors)
    assert "hunter2" not in str(lake.errors)


def test_many_failures_in_a_row_spare_the_api_the_rest(lake: LakeUnderTest) -> None:
    with scripted(lambda *_: (404, {}, b"")) as api:
        assert not run(lake, api, SINCE + dt.timedelta(days=300))
    assert len(api.requests) < 20
    assert "not asked for, because 4 dates in a row had failed" in lake.errors[-1]


def test_retry_after_is_seconds_or_a_date_up_to_the_cap() -> None:
    soon = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30), usegmt=True)
    assert retry_after("2.0", 60) == 2
    assert retry_after("900", 60) == 60
    assert 25 < (retry_after(soon, 60) or 0) <= 30
    past = format_datetime(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), usegmt=True)
    assert [retry_after(value, 60) for value in ("0", "-5", "", "soon", past)] == [None] * 5


def test_what_is_spooled_too_long_ago_is_asked_for_again(lake: LakeUnderTest, tmp_path: Path) -> None:
    """The second page fails for good in the first run; the second run goes on there, the one of later starts anew."""
    fails = [True]

    def reply(_: Scripted, params: dict[str, str]) -> Reply:
        if "cursor" not in params:
            return 200, {}, page(order(1), next_cursor="2")
        return (503, {}, b"") if fails[0] else (200, {}, page(order(2)))

    for minutes, first_pages in ((10, 1), (120, 2)):
        other = LakeUnderTest(tmp_path / str(minutes))
        fails[0] = True
        with scripted(reply) as api:
            assert not run(other, api)
            fails[0] = False
            assert other.run(None, AS_OF + dt.timedelta(minutes=minutes), SINCE, UNTIL), other.errors
            assert sum("cursor" not in params for _, params, _ in api.requests) == first_pages
        assert ids(other) == ["o_1", "o_2"]


def test_what_an_extraction_killed_at_its_very_end_has_left_is_removed_by_the_next_run(lake: LakeUnderTest) -> None:
    with scripted(lambda *_: (200, {}, page(order(1)))) as api:
        assert run(lake, api), lake.errors
        (lake.root / ".windows/2025-01-15").mkdir(parents=True)
        assert lake.run(None, AS_OF + dt.timedelta(hours=1), SINCE, UNTIL), lake.errors
    assert lake.litter() == []


@pytest.mark.parametrize("amount", ["10", "1e400"])
def test_an_updated_at_that_was_in_the_future_counts_once_it_is_due(lake: LakeUnderTest, amount: str) -> None:
    """The bytes are the same as before; 1e400 is a number that DuckDB does not read."""
    later = SINCE + dt.timedelta(days=3)
    record = order(1)[:-1] + f', "updated_at": "{later.isoformat()}Z", "amount": {amount}}}'
    lake.settings["orders_api"] |= {"settle_hours": 1000}
    updated = []
    with scripted(lambda *_: (200, {}, page(record))) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url}
        for as_of in (SINCE + dt.timedelta(hours=20), later + dt.timedelta(hours=1)):
            assert lake.run(None, as_of, SINCE, UNTIL), lake.errors
            updated.append(lake.normalized("orders")[DATE][0][5])
    assert updated == [None, later]


@pytest.mark.parametrize(
    ("path", "totals"),
    [
        ("$.totals[0]", '["1e2"]'),
        ("$.totals[0]", '[ "1E+2", "7"]'),
        ("$.totals[0]", r'["\u0031e2"]'),
        ("$.totals[0]", r'["1\u00652"]'),
        ("$.totals[0]", "[1e2]"),
        ("$.totals[0]", '["100"]'),
        ("$.totals[1]", '["7","1e2"]'),
        ("$.totals[1]", '[7, "1.0E2"]'),
        ("$.totals[1]", r'[null, "10\u0030"]'),
        ("$.totals[1]", "[null, 1e+2]"),
        ("$.totals[0][1]", '[["7", "1e2"]]'),
    ],
)
def test_an_amount_in_a_list_is_the_number_that_its_text_says(lake: LakeUnderTest, path: str, totals: str) -> None:
    record = order(1)[:-1] + f', "totals": {totals}, "items": [{{"sku": "s_1", "prices": {totals}}}]}}'
    lake.settings["orders_fields"] = {"amount": path, "items.price": path.replace("totals", "prices")}
    with scripted(lambda *_: (200, {}, page(record))) as api:
        assert run(lake, api), lake.errors
    assert [str(row[2]) for row in lake.normalized("orders")[DATE]] == ["100.0000"]
    assert [str(row[4]) for row in lake.normalized("items")[DATE]] == ["100.0000"]


UNSET = dict.fromkeys(("error", "total", "cursor_of_last", "next_cursor", "has_more"))
OF_ORDERS = cast(Any, SimpleNamespace(records=("orders",), pagination="none", **UNSET))


@pytest.mark.parametrize("many_commas", [pages.MANY_COMMAS, -1], ids=["few commas", "many commas"])
@given(st.lists(JSON, max_size=5), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_records_are_cut_out_of_a_page_as_they_stand(
    many_commas: int, records: list[Any], indent: Any, ascii_only: bool
) -> None:
    body = json.dumps({"before": [1, {"orders": 2}], "orders": records}, indent=indent, ensure_ascii=ascii_only)
    with mock.patch.object(pages, "MANY_COMMAS", many_commas):
        cut = pages.read_page(OF_ORDERS, Request("http://shop.example"), body.encode(), {}, 0)
    assert [json.loads(line) for line in cut.records.splitlines()] == records
    assert cut.count == len(records)
    if indent is None:
        assert cut.records == b"".join(
            json.dumps(record, ensure_ascii=ascii_only).encode() + b"\n" for record in records
        )


@pytest.mark.parametrize(
    ("body", "tiny", "times"),
    [(b'{"orders": [%s0]}', b"0,", 40), (b'{"other": [%s0], "orders": [0]}', b"[],", 4)],
    ids=["records", "others"],
)
def test_a_page_of_a_million_tiny_values_takes_memory_for_its_bytes_only(body: bytes, tiny: bytes, times: int) -> None:
    text = body % (tiny * (1 << 20))
    tracemalloc.start()
    try:
        assert pages.read_page(OF_ORDERS, Request("http://shop.example"), text, {}, 0).records.endswith(b"0\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < times * len(text), f"{peak:,} bytes"
