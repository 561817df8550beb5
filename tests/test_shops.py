"""Sample answers of each vendor (tests/shops), read with its preset: the sums by currency equal those made by hand.

The samples have the fields and types of the vendors' references, with invented values. Each sample has an order of a
guest, an amount without decimals, an amount with three decimals, a cancelled order, and orders in the last second of a
date and the first second of the next date. Only Shopify and BigCommerce mark test orders.
"""

import datetime as dt
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from api import QUICK, mock_api
from depth import some
from lake import LakeUnderTest

SHOPS = Path(__file__).with_name("shops")
DATES = [dt.date(2025, 3, 3), dt.date(2025, 3, 4)]
SINCE, UNTIL, AS_OF = dt.datetime(2025, 3, 3), dt.datetime(2025, 3, 5), dt.datetime(2025, 4, 1)
SECRET = "s3cret-of-the-shop"
SOURCES = ["api", "dump"]

Sums = dict[str, Decimal]


def money(**sums: str) -> Sums:
    return {currency: Decimal(amount) for currency, amount in sums.items()}


class Sample(NamedTuple):
    """Sums of what counts, and of what was cancelled, failed or was a test; the guest's order; pieces by sku."""

    counts: Sums
    excluded: Sums
    guest: str
    pieces: dict[str, int]


SAMPLES = {
    "shopify": Sample(
        # 119.90 + 24.50 + 59.00 + 35.10
        counts=money(EUR="238.50", JPY="5800", KWD="12.345"),
        # cancelled 80.00 + test 1.00
        excluded=money(EUR="81.00"),
        guest="450789462",
        # mugs: 2 + 1 + 1 of the test + 1; shirts: 1 + 1 + 1 + 1 cancelled + 1
        pieces={"mug-blue": 5, "tee-m": 5},
    ),
    "woocommerce": Sample(
        # 64.95 + 19.99 + 10.05 + 5.01
        counts=money(EUR="100.00", JPY="3200", KWD="7.25"),
        # cancelled 45.00 + failed 30.00
        excluded=money(EUR="75.00"),
        guest="702",
        # mugs: 2 + 1 + 1 + 1; shirts: 1 + 1 + 1 + 1 cancelled + 1 failed
        pieces={"mug-blue": 5, "tee-m": 5},
    ),
    "stripe": Sample(
        # 4999 + 1200 + 1 cents; ISK 150000 in Stripe's two decimals; MGA 900 in its none
        counts=money(EUR="62.00", JPY="5000", KWD="5.12", ISK="1500", USD="25.50", MGA="900"),
        # canceled 9900 cents
        excluded=money(EUR="99.00"),
        guest="pi_3Example0002",
        pieces={},
    ),
    "magento": Sample(
        # 153.50 + 30.00 + 16.40 + 0.10
        counts=money(EUR="200.00", JPY="4500", KWD="9.875"),
        # canceled 70.00
        excluded=money(EUR="70.00"),
        guest="2",
        # shirts, of which each is a parent and a child: 2 + 1 + 1 canceled; hats: 1 + 1 + 1 + 1 + 1
        pieces={"tee-red-m": 4, "hat": 5},
    ),
    "bigcommerce": Sample(
        # 107.10 + 12.90 + 20.00; 42 paid in USD, which was shown in CAD
        counts=money(EUR="140.00", JPY="2800", KWD="3.125", USD="42"),
        # cancelled 55.00 + test 1.00
        excluded=money(EUR="56.00"),
        guest="102",
        pieces={},
    ),
}
# an order in the second that BigCommerce's windows have in common comes twice and is kept on its own date
OUTSIDE_WINDOW = {"bigcommerce": 2}


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(vendor: str, source: str, tmp_path_factory: pytest.TempPathFactory) -> LakeUnderTest:
    """A lake with the vendor's sample, read with its preset."""
    lake = LakeUnderTest(tmp_path_factory.mktemp(f"{vendor}_{source}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORDERS_API_TOKEN", SECRET)
        patch.setenv("ORDERS_API_USER", "key")
        patch.setenv("ORDERS_API_PASSWORD", SECRET)
        load(lake, vendor, source)
    return lake


def load(lake: LakeUnderTest, vendor: str, source: str) -> None:
    if source == "dump":
        lake.settings["orders_api"] |= {"url": SHOPS / f"{vendor}.json", "preset": vendor}
        assert lake.run(None, AS_OF, SINCE, UNTIL), lake.errors
        return
    with mock_api(SHOPS / f"{vendor}.json", style=vendor, shape="own", token_env="ORDERS_API_TOKEN") as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "preset": vendor, "page_size": 2}
        assert lake.run(None, AS_OF, SINCE, UNTIL), lake.errors
        assert len(api.stats()["pages"]) > 3


pytestmark = pytest.mark.parametrize(
    "vendor", some(SAMPLES, ["shopify", "magento"], "vendors' samples"), scope="module"
)


def test_the_sums_by_currency_are_those_done_by_hand(vendor: str, loaded: LakeUnderTest) -> None:
    sample, normalized, curated = SAMPLES[vendor], Counter(), Counter()
    currency = {}
    for date in DATES:
        for order_id, _, amount, code, *_ in loaded.normalized("orders")[date]:
            normalized[code] += amount
            currency[order_id] = code
    for date in DATES:
        for order_id, _, _, amount, *_ in loaded.curated("fact_order")[date]:
            curated[currency[order_id]] += amount
    assert normalized == Counter(sample.counts) + Counter(sample.excluded)
    assert curated == sample.counts


def test_a_guest_is_no_user_and_nothing_is_unreadable(vendor: str, source: str, loaded: LakeUnderTest) -> None:
    users = {row[0]: row[1] for date in DATES for row in loaded.normalized("orders")[date]}
    assert [order_id for order_id, user_id in users.items() if user_id is None] == [SAMPLES[vendor].guest]
    summary = loaded.summary(AS_OF)
    assert summary["health"] == []
    of_dates = summary["dates"]
    outside = sum(counts["discarded"].get("outside_window", 0) for counts in of_dates.values())
    assert outside == sum(sum(counts["discarded"].values()) for counts in of_dates.values())
    assert outside == (OUTSIDE_WINDOW.get(vendor, 0) if source == "api" else 0)


def test_a_piece_that_was_sold_is_in_one_line(vendor: str, loaded: LakeUnderTest) -> None:
    pieces: Counter[str] = Counter()
    for date in DATES:
        for _, _, sku, qty, *_ in loaded.normalized("items")[date]:
            pieces[sku] += qty
    assert pieces == SAMPLES[vendor].pieces


def test_a_status_is_kept_as_the_shop_has_it(vendor: str, loaded: LakeUnderTest) -> None:
    orders = [row for date in DATES for row in loaded.normalized("orders")[date]]
    assert all(isinstance(row[8], str) for row in orders)
    assert sum(row[9] for row in orders) == sum(
        counts.get("excluded", 0) for counts in loaded.summary(AS_OF)["dates"].values()
    )


def test_an_order_is_on_the_date_of_its_second(vendor: str, loaded: LakeUnderTest) -> None:
    first, second = (loaded.normalized("orders")[date] for date in DATES)
    assert max(row[4] for row in first) == dt.datetime(2025, 3, 3, 23, 59, 59)
    assert [row[4] for row in second] == [dt.datetime(2025, 3, 4)]
