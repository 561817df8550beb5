"""API faults: a run publishes the same as from a dump of the same orders, and it counts every fault."""

import datetime as dt
import json
import random
from pathlib import Path

import pytest
from api import QUICK, MockApi, mock_api
from depth import by_depth, deep, some
from lake import LakeUnderTest

DATES, ORDERS, SEEDS = 30, 2_000, 20
PAGINATIONS = ("cursor", "link_header", "page_number", "offset")
START = dt.datetime(2025, 1, 1)
AS_OF = dt.datetime(2025, 3, 1)


def orders() -> list[bytes]:
    """2,000 records over 30 dates; some orders come twice, on their date or on another one."""
    draw = random.Random(2025)
    lines = []
    for number in range(ORDERS):
        created = START + dt.timedelta(seconds=draw.randrange(DATES * 86_400))
        order = {
            "order_id": f"o_{draw.randrange(ORDERS * 9 // 10)}",
            "user_id": f"u_{draw.randrange(50)}",
            "amount": draw.randrange(100_000) / 100,
            "currency": "EUR",
            "created_at": created.isoformat() + "Z",
            "items": [{"sku": f"s_{line}", "qty": draw.randrange(1, 5), "price": 2.5} for line in range(number % 3)],
        }
        if number % 5 == 0:
            order["updated_at"] = (created + dt.timedelta(hours=draw.randrange(100))).isoformat() + "Z"
        lines.append(json.dumps(order).encode())
    return lines


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feed") / "orders.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in orders()))
    return path


@pytest.fixture(scope="module")
def from_dump(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    lake = LakeUnderTest(tmp_path_factory.mktemp("dump"))
    assert lake.run(orders(), AS_OF, dates_per_task=DATES), lake.errors
    return curated(lake)


def curated(lake: LakeUnderTest) -> dict[str, bytes]:
    return {name: content for name, content in lake.files().items() if name.startswith(("curated", "normalized"))}


def ask(lake: LakeUnderTest, api: MockApi, **settings: object) -> None:
    """Let the lake's source be the API."""
    lake.settings["orders_api"] |= QUICK | {"url": api.url, "page_size": 20} | settings


@pytest.mark.parametrize("seed", some(range(SEEDS), range(1, 2), "faulty APIs"))
def test_orders_from_a_faulty_api_are_those_of_the_dump_and_each_fault_is_counted(
    seed: int, lake: LakeUnderTest, feed: Path, from_dump: dict[str, bytes]
) -> None:
    pagination = PAGINATIONS[seed % len(PAGINATIONS)]
    with mock_api(feed, fault_rate=0.3, seed=seed, stall_seconds=2, pagination=pagination) as api:
        ask(lake, api, pagination=pagination)
        end = START + dt.timedelta(days=DATES)
        assert lake.run(None, AS_OF, START, end, dates_per_task=DATES), lake.errors
        stats = api.stats()
    assert curated(lake) == from_dump
    assert lake.litter() == []
    faults = stats["faults"]
    assert sum(faults.values()) > 20
    told = lake.summary(AS_OF)["api"]
    assert sum(told["retries"].values()) == sum(faults.values()) - faults.get("moved", 0)
    assert told["requests"] == stats["requests"]
    assert told["restarts"] >= faults.get("moved", 0)
    by_kind = {kind: told["retries"].get(kind, 0) for kind in ("429", "500", "503", "html", "cut_body")}
    assert by_kind == {kind: faults.get(kind, 0) for kind in by_kind}


@deep("faulty APIs")
def test_a_window_that_lost_a_record_to_a_move_is_read_again(lake: LakeUnderTest, tmp_path: Path) -> None:
    """Every page but the first meets the fault `moved` once: a record that was read already leaves the window."""
    lines = [f'{{"order_id": "o_{n}", "created_at": "2025-01-15T{n:02}:00:00Z"}}'.encode() for n in range(10)]
    feed = tmp_path / "feed.ndjson"
    feed.write_bytes(b"".join(line + b"\n" for line in lines))
    seen = set()
    for seed in by_depth(few=(2, 3), all=range(8), night=range(8)):
        other = LakeUnderTest(tmp_path / str(seed))
        with mock_api(feed, fault_rate=0.5, seed=seed, stall_seconds=2, pagination="offset") as api:
            ask(other, api, pagination="offset", page_size=3)
            assert other.run(None, AS_OF, dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 16)), other.errors
            seen.add(api.stats()["faults"].get("moved", 0))
        assert [row[0] for row in other.normalized("orders")[dt.date(2025, 1, 15)]] == [f"o_{n}" for n in range(10)]
    assert seen == {0, 1}
