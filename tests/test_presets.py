"""Each preset loads its vendor's shape of some orders into the same curated bytes as the contract's own shape."""

import datetime as dt
import json
from pathlib import Path

import pytest
from api import QUICK, mock_api
from depth import some
from lake import LakeUnderTest

SINCE, UNTIL, AS_OF = dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 18), dt.datetime(2025, 2, 1)
SECRET = "s3cret-of-the-shop"
# the first and the last second of a date, and a shop's usual ones
TIMES = ("00:00:00", "23:59:59", "12:34:56")


def orders(*, with_lines: bool) -> list[bytes]:
    """330 orders over three dates, with and without lines and updated_at, in three currencies."""
    lines = []
    for number in range(330):
        created = f"2025-01-{15 + number % 3}T{TIMES[number // 3 % 3]}Z"
        order = {
            "order_id": f"o_{number:03}",
            "user_id": f"u_{number % 7}",
            "amount": number * 7 / 100 if number % 3 else number,
            "currency": ("JPY", "EUR", "KWD")[number % 3],
            "created_at": created,
            "items": [{"sku": f"s_{line}", "qty": line + 1, "price": 3} for line in range(number % 4 * with_lines)],
        }
        lines.append(json.dumps(order | ({"updated_at": created} if number % 2 else {})).encode())
    return lines


PRESETS = ["shopify", "woocommerce", "stripe", "magento", "bigcommerce"]


@pytest.mark.parametrize("preset", some(PRESETS, [], "vendors' feeds"))
def test_a_vendors_feed_gives_the_curated_bytes_of_the_plain_one(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = tmp_path / "feed.ndjson"
    # BigCommerce has the lines of its orders elsewhere
    lines = orders(with_lines=preset != "bigcommerce")
    feed.write_bytes(b"".join(line + b"\n" for line in lines))
    plain, lake = LakeUnderTest(tmp_path / "plain"), LakeUnderTest(tmp_path / "vendor")
    assert plain.run(lines, AS_OF), plain.errors
    for name, value in {"ORDERS_API_TOKEN": SECRET, "ORDERS_API_USER": "key", "ORDERS_API_PASSWORD": SECRET}.items():
        monkeypatch.setenv(name, value)
    with mock_api(feed, style=preset, token_env="ORDERS_API_TOKEN") as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "preset": preset, "page_size": 50}
        assert lake.run(None, AS_OF, SINCE, UNTIL), lake.errors
        pages = api.stats()["pages"]
    assert len(pages) > 6
    curated = {name: content for name, content in plain.files().items() if name.startswith("curated")}
    assert {name: content for name, content in lake.files().items() if name.startswith("curated")} == curated
    assert lake.normalized("orders") == plain.normalized("orders")
    landed = json.loads(lake.raw()["2025-01-15"][0])
    assert "order_id" not in landed
    assert landed["entity_id" if preset == "magento" else "id"].startswith("o_")


def test_a_corrected_field_map_is_used_by_reprocess(lake: LakeUnderTest, tmp_path: Path) -> None:
    feed = tmp_path / "feed.ndjson"
    feed.write_bytes(b'{"order_id": "o_1", "created_at": "2025-01-15T10:00:00Z", "amount": 1, "paid": {"net": 2.5}}\n')
    with mock_api(feed) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url}
        assert lake.run(None, AS_OF, SINCE, UNTIL), lake.errors
    assert [row[3] for row in lake.curated("fact_order")[dt.date(2025, 1, 15)]] == [1]
    lake.settings["orders_fields"] = {"amount": "$.paid.net"}
    assert lake.run(None, AS_OF + dt.timedelta(hours=1), SINCE, UNTIL, reprocess=True), lake.errors
    assert [str(row[3]) for row in lake.curated("fact_order")[dt.date(2025, 1, 15)]] == ["2.5000"]
