"""An extraction that is killed at any moment continues later, and asks again for at most the last page."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from api import QUICK, MockApi, mock_api
from depth import by_depth
from forks import Forker
from processes import Shop, Snapshot

RANDOM_MOMENTS = by_depth(few=4, all=50, night=500)
DATES, ORDERS_A_DATE = 6, 40
RANGE = ("--since", "2025-01-15", "--until", "2025-01-21")
FIRST, SECOND = "2025-02-01T00:00:00Z", "2025-02-01T00:10:00Z"
SETTINGS = {**QUICK, "read_timeout_seconds": 10, "page_size": 8, "parallel_windows": 3}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockApi]:
    feed = tmp_path_factory.mktemp("feed") / "feed.ndjson"
    orders = [
        {"order_id": f"o_{day}_{n}", "amount": n, "created_at": f"2025-01-{15 + day}T10:{n:02}:00Z"}
        for day in range(DATES)
        for n in range(ORDERS_A_DATE)
    ]
    feed.write_text("".join(json.dumps(order) + "\n" for order in orders))
    with mock_api(feed, latency_ms=20) as server:
        yield server


def test_a_killed_extraction_goes_on_and_asks_for_one_page_of_a_window_twice_at_most(
    tmp_path: Path, api: MockApi, forker: Forker
) -> None:
    shop = Shop(tmp_path / "shop", **{f"orders_api_{name}": value for name, value in SETTINGS.items()})
    empty = Snapshot(shop, tmp_path / "empty")

    def run(as_of: str, **moment: float) -> dict:
        options = shop.options(run_as_of=as_of, run_dates_per_task=DATES, orders_api_url=api.url)
        return forker.run(["run", *RANGE, *options], **moment)

    undisturbed = run(FIRST)
    assert undisturbed["status"] == 0, undisturbed["output"]
    wanted, draw, interrupted = shop.data(), random.Random(3), 0
    for _ in range(RANDOM_MOMENTS):
        empty.restore()
        api.reset()
        run(FIRST, kill_after_seconds=draw.uniform(0.05, undisturbed["seconds"] * 0.8))
        interrupted += (shop.root / ".windows").exists()
        ended = run(SECOND)
        assert ended["status"] == 0, ended["output"]
        assert shop.data() == wanted
        assert shop.litter() == []
        twice: dict[str, int] = {}
        for page, times in api.stats()["pages"].items():
            window = page.split("|")[0]
            twice[window] = twice.get(window, 0) + times - 1
        assert max(twice.values()) <= 1, twice
    assert interrupted >= RANDOM_MOMENTS / 20
