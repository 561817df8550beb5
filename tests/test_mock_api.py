"""The mock shop: the windows and pages of each style, credentials, and each fault as a client meets it."""

import base64
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from api import MockApi, mock_api
from processes import REPOSITORY

from mock_shop.__main__ import main

SECRET = "s3cret-of-the-shop"
DAY = ("2025-01-15T00:00:00Z", "2025-01-16T00:00:00Z")
EPOCH = 1_736_899_200  # 2025-01-15T00:00:00Z
VALUE = "searchCriteria[filter_groups][{}][filters][0][value]"
CRITERIA = {
    "searchCriteria[filter_groups][0][filters][0][field]": "created_at",
    "searchCriteria[filter_groups][0][filters][0][condition_type]": "gteq",
    "searchCriteria[filter_groups][1][filters][0][field]": "created_at",
    "searchCriteria[filter_groups][1][filters][0][condition_type]": "lt",
}
WINDOWS: dict[str, dict[str, Any]] = {
    "plain": {"created_from": DAY[0], "created_until": DAY[1]},
    "shopify": {"created_at_min": DAY[0], "created_at_max": "2025-01-15T23:59:59Z", "order": "created_at asc"},
    "woocommerce": {"after": "2025-01-14T23:59:59", "before": "2025-01-16T00:00:00", "order": "asc"},
    "stripe": {"created[gte]": EPOCH, "created[lt]": EPOCH + 86_400},
    "magento": CRITERIA | {VALUE.format(0): "2025-01-15 00:00:00", VALUE.format(1): "2025-01-16 00:00:00"},
    "bigcommerce": {"min_date_created": DAY[0], "max_date_created": "2025-01-15T23:59:59Z", "sort": "id:asc"},
}
MOST = {"plain": 1000, "shopify": 250, "bigcommerce": 250}
KINDS = {
    *("429", "500", "503", "refused", "reset", "stall", "cut_body", "invalid_json", "html"),
    *("error_envelope", "duplicate_page", "moved"),
}

Pages = list[list[dict[str, Any]]]


def order(number: int, created_at: str, **fields: Any) -> dict[str, Any]:
    return {"order_id": f"o_{number}", "created_at": created_at} | fields


def write(path: Path, *orders: dict[str, Any] | bytes) -> Path:
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in orders]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def hours(count: int) -> list[dict[str, Any]]:
    """One order an hour of the date."""
    return [order(number, f"2025-01-15T{number:02}:00:00Z") for number in range(count)]


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    return tmp_path / "feed.ndjson"


class Shops:
    """Servers without faults, one a style and pagination: to start one takes longer than a test of it."""

    def __init__(self, folder: Path, open_until_the_end: ExitStack) -> None:
        self._folder, self._stack = folder, open_until_the_end
        self._known: dict[tuple[str, str], tuple[MockApi, Path]] = {}

    def __call__(self, style: str, *orders: dict[str, Any] | bytes, pagination: str = "cursor") -> MockApi:
        if (style, pagination) not in self._known:
            feed = write(self._folder / f"{style}_{pagination}.ndjson")
            api = self._stack.enter_context(mock_api(feed, style=style, pagination=pagination))
            self._known[style, pagination] = api, feed
        api, feed = self._known[style, pagination]
        write(feed, *orders)
        api.reset()
        return api


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    with ExitStack() as stack:
        yield Shops(tmp_path_factory.mktemp("shops"), stack)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def ids(answer: requests.Response) -> list[str]:
    return [each.get("id") or each.get("entity_id") or each["order_id"] for each in orders_of(answer)]


def orders_of(answer: requests.Response) -> list[dict[str, Any]]:
    if answer.status_code == 204:
        assert answer.content == b""
        return []
    body = answer.json()
    assert answer.status_code == 200, body
    found = body if isinstance(body, list) else records(body)
    assert isinstance(found, list), body
    return found


def records(body: dict[str, Any]) -> Any:
    return next((body[name] for name in ("orders", "data", "items") if name in body), None)


def by_link(session: requests.Session, url: str, query: dict[str, Any]) -> Iterator[requests.Response]:
    answer = session.get(url, params=query)
    yield answer
    while "next" in answer.links:
        answer = session.get(answer.links["next"]["url"])
        yield answer


def by_cursor(session: requests.Session, url: str, query: dict[str, Any]) -> Iterator[requests.Response]:
    cursor = ""
    while cursor is not None:
        answer = session.get(url, params=query | ({"cursor": cursor} if cursor else {}))
        yield answer
        cursor = answer.json()["next_cursor"]


def by_page(session: requests.Session, url: str, query: dict[str, Any]) -> Iterator[requests.Response]:
    for page in range(1, 100):
        answer = session.get(url, params=query | {"page": page})
        if not orders_of(answer):
            return
        yield answer


def by_total(session: requests.Session, url: str, query: dict[str, Any]) -> Iterator[requests.Response]:
    seen, page, total = 0, 1, 1
    while seen < total:
        answer = session.get(url, params=query | {"searchCriteria[currentPage]": page})
        yield answer
        seen, page, total = seen + len(orders_of(answer)), page + 1, answer.json()["total_count"]


def by_offset(session: requests.Session, url: str, query: dict[str, Any]) -> Iterator[requests.Response]:
    offset = 0
    while orders_of(answer := session.get(url, params=query | {"offset": offset})):
        yield answer
        offset += len(orders_of(answer))


def by_last_id(session: requests.Session, url: str, query: dict[str, Any]) -> Iterator[requests.Response]:
    last: dict[str, Any] = {}
    while True:
        answer = session.get(url, params=query | last)
        yield answer
        if not answer.json()["has_more"]:
            return
        last = {"starting_after": ids(answer)[-1]}


Walk = Callable[[requests.Session, str, dict[str, Any]], Iterator[requests.Response]]
WALKS: list[tuple[str, str, str, Walk]] = [
    ("plain", "cursor", "limit", by_cursor),
    ("plain", "link_header", "limit", by_link),
    ("plain", "page_number", "limit", by_page),
    ("plain", "offset", "limit", by_offset),
    ("shopify", "cursor", "limit", by_link),
    ("woocommerce", "cursor", "per_page", by_page),
    ("woocommerce", "cursor", "per_page", by_link),
    ("stripe", "cursor", "limit", by_last_id),
    ("magento", "cursor", "searchCriteria[pageSize]", by_total),
    ("bigcommerce", "cursor", "limit", by_page),
]


@pytest.mark.parametrize(("style", "pagination", "limit", "walk"), WALKS)
def test_the_pages_of_a_window_have_each_of_its_orders_once(
    style: str, pagination: str, limit: str, walk: Walk, shop: Shops, session: requests.Session
) -> None:
    before, after = order(90, "2025-01-14T23:59:59Z"), order(91, "2025-01-16T00:00:00Z")
    api = shop(style, after, *hours(24), before, pagination=pagination)
    pages = [ids(answer) for answer in walk(session, api.url, WINDOWS[style] | {limit: 5})]
    stats = api.stats()
    found = [each for page in pages for each in page]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 4]
    assert (found if style != "stripe" else found[::-1]) == [f"o_{number}" for number in range(24)]
    assert [times for page, times in stats["pages"].items() if int(page.split("|")[1]) < 24] == [1] * 5
    assert stats["faults"] == {}


def test_without_pagination_the_window_comes_whole(shop: Shops, session: requests.Session) -> None:
    api = shop("plain", *hours(24), pagination="none")
    assert len(ids(session.get(api.url, params=WINDOWS["plain"] | {"limit": 5}))) == 24


def test_a_page_past_the_last_is_the_last_one_of_magento_and_no_content_of_bigcommerce(
    shop: Shops, session: requests.Session
) -> None:
    sizes = {"searchCriteria[pageSize]": 2, "searchCriteria[currentPage]": 9}
    api = shop("magento", *hours(3))
    assert ids(session.get(api.url, params=WINDOWS["magento"] | sizes)) == ["o_2"]
    assert ids(session.get(shop("magento").url, params=WINDOWS["magento"] | sizes)) == []
    api = shop("bigcommerce", *hours(3))
    assert session.get(api.url, params=WINDOWS["bigcommerce"] | {"limit": 3, "page": 2}).status_code == 204


@pytest.mark.parametrize("style", list(WINDOWS))
def test_no_part_of_a_second_is_between_two_dates(style: str, shop: Shops, session: requests.Session) -> None:
    api = shop(style, order(1, "2025-01-14T23:59:59.9Z"), order(2, DAY[0]), order(3, "2025-01-15T23:59:59.9Z"))
    assert sorted(ids(session.get(api.url, params=WINDOWS[style]))) == ["o_2", "o_3"]


@pytest.mark.parametrize(
    ("style", "query", "expected"),
    [
        ("plain", {"updated_since": "2025-02-01"}, ["o_1", "o_2"]),
        ("shopify", {"updated_at_min": "2025-02-01", "order": "created_at asc"}, ["o_1", "o_2"]),
        ("woocommerce", {"modified_after": "2025-02-01", "order": "asc"}, ["o_2"]),
        ("bigcommerce", {"min_date_modified": "2025-02-01"}, ["o_1", "o_2"]),
    ],
)
def test_orders_updated_since_are_told_by_their_update_or_else_by_their_creation(
    style: str, query: dict[str, str], expected: list[str], shop: Shops, session: requests.Session
) -> None:
    updated = order(1, "2025-01-15", updated_at="2025-02-01T00:00:00Z")
    api = shop(style, updated, order(2, "2025-02-02"), order(3, "2025-01-31", updated_at="soon"))
    assert ids(session.get(api.url, params=query)) == expected


def test_a_plain_record_is_served_as_it_was_written(feed: Path, session: requests.Session) -> None:
    odd = b'{"order_id":  "o_1", "amount":26.90, "created_at":"2025-01-15", "created_at":"2025-02-01", "updated_at": 5}'
    write(feed, odd, b"{broken", order(2, "20250115"), order(3, "noon"), b'"text"')
    with mock_api(feed) as api:
        assert session.get(api.url, params=WINDOWS["plain"]).content == (
            b'{"orders":[' + odd + b'],"next_cursor":null,"total":1}'
        )
        feed.write_bytes(b'{"orders": [' + odd + b"]}")
        assert b'"amount":26.90' in session.get(api.url, params=WINDOWS["plain"]).content


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (
            "shopify",
            {
                "id": "o_1",
                "customer": {"id": "u_1"},
                "total_price": "12345678901234.5600",
                "currency": "EUR",
                "created_at": "2025-01-15T05:00:00-05:00",
                "updated_at": None,
                "line_items": [{"id": 0, "sku": "a", "quantity": 2, "price": "9.50"}],
                "note_attributes": {"x": 1},
            },
        ),
        (
            "woocommerce",
            {
                "id": "o_1",
                "customer_id": "u_1",
                "total": "12345678901234.5600",
                "currency": "EUR",
                "date_created_gmt": "2025-01-15T10:00:00",
                "date_modified_gmt": None,
                "line_items": [{"id": 0, "sku": "a", "quantity": 2, "price": "9.50"}],
                "meta_data": {"x": 1},
            },
        ),
        (
            "stripe",
            {
                "id": "o_1",
                "object": "order",
                "amount": "1234567890123456",
                "currency": "eur",
                "customer": "u_1",
                "created": str(EPOCH + 36_000),
                "updated": None,
                "items": [{"object": "order_item", "type": "sku", "parent": "a", "quantity": 2, "amount": "950"}],
                "metadata": {"x": 1},
            },
        ),
        (
            "magento",
            {
                "entity_id": "o_1",
                "customer_id": "u_1",
                "grand_total": "12345678901234.5600",
                "order_currency_code": "EUR",
                "created_at": "2025-01-15 10:00:00",
                "updated_at": None,
                "items": [
                    {"item_id": 1, "product_type": "configurable", "sku": "a", "qty_ordered": 2, "price": "9.50"},
                    {"item_id": 2, "product_type": "simple", "sku": "a", "qty_ordered": 2, "price": 0}
                    | {"parent_item_id": 1},
                ],
            },
        ),
        (
            "bigcommerce",
            {
                "id": "o_1",
                "customer_id": "u_1",
                "date_created": "Wed, 15 Jan 2025 10:00:00 +0000",
                "date_modified": None,
                "total_inc_tax": "12345678901234.5600",
                "default_currency_code": "EUR",
                "products": {"resource": "/orders/o_1/products"},
            },
        ),
    ],
)
def test_a_vendors_order_has_the_exact_values(
    style: str, expected: dict[str, Any], shop: Shops, session: requests.Session
) -> None:
    record = (
        b'{"order_id": "o_1", "user_id": "u_1", "amount": 12345678901234.5600, "currency": "EUR", "created_at": '
        b'"2025-01-15T10:00:00.5Z", "items": [{"sku": "a", "qty": 2, "price": "9.50"}, 7], "metadata": {"x": 1}}'
    )
    api = shop(style, record, order(2, "2025-01-15T09:00:00Z", amount="a lot", items="none", updated_at="soon"))
    text = session.get(api.url, params=WINDOWS[style]).text
    body = json.loads(text, parse_float=str, parse_int=lambda digits: digits if len(digits) > 2 else int(digits))
    found = body if isinstance(body, list) else records(body)
    assert {each.get("id") or each["entity_id"]: each for each in found}["o_1"] == expected
    assert len(found) == 2


def test_a_vendor_has_an_order_once_as_it_is_now(shop: Shops, session: requests.Session) -> None:
    first, second = order(7, "2025-01-15", amount=1), order(7, "2025-01-15T09:00", amount=2, updated_at="2025-01-16")
    api = shop("stripe", second, first, *hours(3), {"created_at": "2025-01-15"})
    pages = list(by_last_id(session, api.url, WINDOWS["stripe"] | {"limit": 1}))
    assert [each for page in pages for each in ids(page)] == ["o_7", "o_2", "o_1", "o_0"]
    assert orders_of(pages[0])[0]["amount"] == 200


def test_stripe_has_amounts_in_the_minor_units_of_its_own_table(shop: Shops, session: requests.Session) -> None:
    amounts = {"JPY": "500", "KWD": "5.12", "EUR": "5", "ISK": "5"}
    api = shop("stripe", *(order(n, DAY[0], amount=amounts[code], currency=code) for n, code in enumerate(amounts)))
    found = {each["currency"]: each["amount"] for each in orders_of(session.get(api.url, params=WINDOWS["stripe"]))}
    assert found == {"jpy": 500, "kwd": 5120, "eur": 500, "isk": 500}


@pytest.mark.parametrize(
    ("style", "record"),
    [
        ("shopify", {"id": 7, "created_at": "2025-01-15T00:00:00-05:00", "test": True, "total_price": "1.50"}),
        ("woocommerce", {"id": 7, "date_created_gmt": "2025-01-15T00:00:00", "total": "1.50"}),
        ("stripe", {"id": "pi_7", "created": EPOCH, "livemode": True, "amount": 150}),
        ("magento", {"entity_id": 7, "created_at": "2025-01-15 00:00:00", "grand_total": 1.5, "state": "new"}),
        ("bigcommerce", {"id": 7, "date_created": "Wed, 15 Jan 2025 00:00:00 +0000", "date_modified": ""}),
    ],
)
def test_orders_in_the_vendors_own_shape_are_served_as_they_are(
    style: str, record: dict[str, Any], feed: Path, session: requests.Session
) -> None:
    feed.write_text(json.dumps([record]))
    with mock_api(feed, style=style, shape="own") as api:
        assert orders_of(session.get(api.url, params=WINDOWS[style])) == [record]


@pytest.mark.parametrize(
    ("style", "query"),
    [
        ("plain", {"limit": "many"}),
        ("plain", {"limit": 0}),
        ("plain", {"cursor": "Zm9v"}),
        ("plain", {"created_from": "20250115"}),
        ("plain", {"created_form": "2025-01-15"}),
        ("shopify", {"page_info": "x"}),
        ("shopify", {"page_info": "MQ=="}),
        ("shopify", {"order": "id asc"}),
        ("woocommerce", {"per_page": 101}),
        ("woocommerce", {"orderby": "total"}),
        ("stripe", {"limit": 101}),
        ("stripe", {"starting_after": "nothing"}),
        ("stripe", {"updated[gte]": 0}),
        ("magento", {"searchCriteria[pageSize]": 301}),
        ("magento", {"searchCriteria[filter_groups][0][filters][0][field]": "updated_at"}),
        ("bigcommerce", {"sort": "total:asc"}),
        ("bigcommerce", {"min_date_created": "soon"}),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    style: str, query: dict[str, Any], shop: Shops, session: requests.Session
) -> None:
    api = shop(style, *hours(2))
    answer = session.get(api.url, params=WINDOWS[style] | query)
    assert answer.status_code == 400
    assert set(answer.json()) & {"error", "errors", "code", "message", "title"}


@pytest.mark.parametrize("style", MOST)
def test_a_larger_limit_counts_as_the_largest(style: str, shop: Shops, session: requests.Session) -> None:
    api = shop(style, *(order(number, DAY[0]) for number in range(MOST[style] + 1)))
    assert len(ids(session.get(api.url, params=WINDOWS[style] | {"limit": 5000}))) == MOST[style]


@pytest.mark.parametrize(
    ("style", "name", "value"),
    [
        ("plain", "Authorization", f"Bearer {SECRET}"),
        ("shopify", "X-Shopify-Access-Token", SECRET),
        ("woocommerce", "Authorization", "Basic " + base64.b64encode(f"key:{SECRET}".encode()).decode()),
        ("stripe", "Authorization", f"Bearer {SECRET}"),
        ("magento", "Authorization", f"Bearer {SECRET}"),
        ("bigcommerce", "X-Auth-Token", SECRET),
    ],
)
def test_only_the_styles_own_credentials_are_let_in_and_others_are_told_back(
    style: str, name: str, value: str, feed: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCK_SECRET", SECRET)
    write(feed, *hours(2))
    with mock_api(feed, style=style, token_env="MOCK_SECRET") as api:
        assert len(ids(session.get(api.url, params=WINDOWS[style], headers={name: value}))) == 2
        refused = session.get(api.url, params=WINDOWS[style], headers={name: "Bearer wrong"})
        assert session.get(api.url, params=WINDOWS[style]).status_code == 401
    assert refused.status_code == 401
    assert "Bearer wrong" in refused.text


def test_it_listens_on_the_address_it_is_told(feed: Path, session: requests.Session) -> None:
    write(feed, *hours(1))
    with mock_api(feed, address="127.0.0.2") as api:
        assert api.url.startswith("http://127.0.0.2:")
        assert len(ids(session.get(api.url, params=WINDOWS["plain"]))) == 1


def test_a_changed_file_is_served_at_once_and_an_unreadable_one_is_no_empty_shop(
    feed: Path, session: requests.Session
) -> None:
    write(feed, *hours(1))
    with mock_api(feed) as api:
        assert len(ids(session.get(api.url, params=WINDOWS["plain"]))) == 1
        write(feed, *hours(3))
        assert len(ids(session.get(api.url, params=WINDOWS["plain"]))) == 3
        feed.write_text('[{"order_id": "o_1", "created_at": "2025-01-15"}, {"order')
        assert session.get(api.url, params=WINDOWS["plain"]).status_code == 500
        feed.unlink()
        assert session.get(api.url, params=WINDOWS["plain"]).status_code == 500


def test_a_client_that_accepts_gzip_gets_it(shop: Shops, session: requests.Session) -> None:
    api = shop("plain", *hours(24))
    packed = session.get(api.url, params=WINDOWS["plain"], headers={"Accept-Encoding": "gzip"})
    bare = session.get(api.url, params=WINDOWS["plain"], headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in bare.headers
    assert packed.content == bare.content


def observed(session: requests.Session, url: str, query: dict[str, Any], true: list[str], total: int) -> str:
    """The fault that a client sees in the answer to this request, or an empty text."""
    try:
        answer = session.get(url, params=query, timeout=5)
    except requests.exceptions.ChunkedEncodingError:
        return "cut_body"
    except requests.exceptions.ConnectionError as error:
        return "refused" if "refused" in str(error) else "reset"
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        return "html"
    if answer.status_code != 200:
        # a stalled request ends in a bare status 503
        return str(answer.status_code) if answer.content else "stall"
    try:
        body = answer.json()
    except ValueError:
        return "invalid_json"
    if "error" in body:
        return "error_envelope"
    if body["total"] != total:
        return "moved"
    return "" if ids(answer) == true else "duplicate_page"


def faults(api: MockApi, session: requests.Session, times: int) -> list[str]:
    """What requests for second pages meet; the first page is not asked for, so that a move stays."""
    met = []
    for number in range(times):
        limit = 2 + number % 5
        true, total = [f"o_{n}" for n in range(limit, min(2 * limit, 12))], 12
        query = WINDOWS["plain"] | {"limit": limit, "offset": limit}
        met.append(observed(session, api.url, query, true, total))
    return met


def test_every_kind_of_fault_reaches_the_client_and_is_counted(feed: Path, session: requests.Session) -> None:
    write(feed, *hours(12))
    with mock_api(feed, pagination="offset", fault_rate=1, seed=5, stall_seconds=0.01) as api:
        met, moves = Counter(), 0
        for _ in range(30):
            for kind in faults(api, session, 7):
                # once a record has left the window, all of its later pages say so
                moves += kind == "moved"
                met[kind] += kind not in ("", "moved")
        stats = api.stats()
    assert set(stats["faults"]) == KINDS
    assert stats["faults"]["moved"] == 1
    assert moves > 1
    seen_at_once = KINDS - {"duplicate_page", "moved"}
    assert {kind: met[kind] for kind in seen_at_once} == {kind: stats["faults"][kind] for kind in seen_at_once}
    assert stats["requests"] == 210
    assert sum(stats["faults"].values()) + sum(stats["pages"].values()) == 210


def test_the_same_seed_gives_the_same_faults_and_another_one_others(feed: Path, session: requests.Session) -> None:
    write(feed, *hours(12))
    met = []
    for seed in (1, 1, 2):
        with mock_api(feed, pagination="offset", fault_rate=0.6, seed=seed, stall_seconds=0.01) as api:
            met.append(faults(api, session, 40))
            api.reset()
            assert api.stats() == {"requests": 0, "pages": {}, "faults": {}}
            met.append(faults(api, session, 40))
    assert met[0] == met[1] == met[2] == met[3]
    assert met[4] == met[5] != met[0]


def test_a_request_meets_at_most_six_faults_in_a_row(feed: Path, session: requests.Session) -> None:
    write(feed, *hours(2))
    with mock_api(feed, fault_rate=1, stall_seconds=0.01) as api:
        met = [observed(session, api.url, WINDOWS["plain"], ["o_0", "o_1"], 2) for _ in range(14)]
    assert [number for number, kind in enumerate(met) if not kind] == [6, 13]


@pytest.mark.parametrize("style", ["plain", "shopify", "stripe"])
def test_when_to_retry_is_told_in_the_vendors_manner(style: str, feed: Path, session: requests.Session) -> None:
    write(feed, *hours(2))
    told = set()
    with mock_api(feed, style=style, fault_rate=1, stall_seconds=0.01) as api:
        for number in range(200):
            with suppress(requests.RequestException):
                answer = session.get(api.url, params=WINDOWS[style] | {"limit": 1 + number % 50})
                told |= {answer.headers.get("Retry-After")} if answer.status_code == 429 else set()
    date = {each for each in told if each and each.endswith("GMT")}
    assert told - date == {"plain": {"0.05", "0.2", "0", "-1", None}, "shopify": {"0.1"}, "stripe": {None}}[style]
    assert bool(date) == (style == "plain")


def test_it_listens_on_this_machine_only_and_ends_when_told_to(feed: Path) -> None:
    write(feed, *hours(1))
    started = [sys.executable, "-m", "mock_shop", "--port", "0", "--data", str(feed)]
    with subprocess.Popen(started, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("mock-shop: http://127.0.0.1:")
        assert line.endswith("/orders\n")
        port = int(line.split(":")[3].split("/")[0])
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))
        server.terminate()
        assert server.wait(30) == 0
        assert server.stdout.read() == ""


@pytest.mark.parametrize(
    "wrong",
    [["--fault-rate", "1.5"], ["--port", "70000"], ["--data", "no such file"], ["--token-env", "NO_SUCH_VARIABLE"]],
)
def test_a_setting_that_cannot_be_meant_is_told_in_one_line(wrong: list[str]) -> None:
    with pytest.raises(SystemExit, match=rf"^BadSetting: {wrong[0]}[^\n]*$"):
        main(wrong)
