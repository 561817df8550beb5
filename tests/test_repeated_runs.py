"""Repeated runs: with a clock that is behind, with a pinned as_of, and after a failure."""

import datetime as dt

import pytest
from feeds import order
from lake import LakeUnderTest
from processes import Shop
from warm import ended

from pipeline.errors import BadSetting

FEED = """
    order_id | amount | created_at
    o_1      | 10     | 2025-01-15T10:00:00Z
"""
CHANGED = FEED.replace("10     |", "11     |")


@pytest.fixture
def shop(tmp_path) -> Shop:
    shop = Shop(tmp_path / "shop")
    shop.feed(FEED)
    return shop


def pipeline(shop: Shop, *words: str, as_of: str) -> tuple[int, str]:
    return ended("pipeline", "run", *words, *shop.options(run_as_of=as_of))


@pytest.mark.parametrize("flag", ["--force", "--reprocess"])
def test_a_forced_run_as_of_an_earlier_moment_than_the_last_is_refused(shop: Shop, flag: str) -> None:
    assert pipeline(shop, as_of="2025-02-02")[0] == 0
    before = shop.data()
    shop.feed(CHANGED)
    status, output = pipeline(shop, flag, as_of="2025-02-01")
    assert status != 0
    (line,) = [line for line in output.splitlines() if "BadSetting" in line]
    assert f"{flag}: date=2025-01-15 was made by a run as of 2025-02-02T00:00:00.000000Z; this run is as of" in line
    assert "remove [run] as_of, or set a later one" in line
    assert "Traceback" not in output
    assert shop.data() == before


def test_a_forced_date_as_of_an_earlier_moment_is_refused_too(shop: Shop) -> None:
    assert pipeline(shop, as_of="2025-02-02")[0] == 0
    words = ("luigi", "--module", "pipeline", "WriteFactOrder", "--local-scheduler", "--date", "2025-01-15", "--force")
    status, output = ended(*words, *shop.options(run_as_of="2025-02-01"))
    assert status != 0
    assert "this run is as of 2025-02-01T00:00:00.000000Z, so it would skip the date" in output
    assert "Traceback" not in output


def test_a_forced_run_whose_clock_is_behind_is_refused(lake: LakeUnderTest, monkeypatch) -> None:
    feed, ahead = [order("o_1")], dt.datetime(2025, 2, 2)
    assert lake.run(feed, ahead)
    monkeypatch.setattr("pipeline.tasks.base.now", lambda: ahead - dt.timedelta(hours=1))
    with pytest.raises(BadSetting, match="set this host's clock right"):
        lake.run(feed, ahead - dt.timedelta(hours=1), force=True)


def test_a_date_that_another_forced_run_has_made_meanwhile_is_as_good(lake: LakeUnderTest, monkeypatch) -> None:
    feed, other = [order("o_1")], dt.datetime(2025, 2, 2)
    assert lake.run(feed, other, force=True)
    monkeypatch.setattr("pipeline.tasks.base.now", lambda: other + dt.timedelta(seconds=5))
    assert lake.run(feed, other - dt.timedelta(seconds=5), force=True), lake.errors


def test_a_run_with_a_pinned_as_of_that_failed_is_tried_again(shop: Shop) -> None:
    shop.feed(FEED + "    o_2      | 20     | 2025-01-16T10:00:00Z\n")
    (shop.root / "normalized").mkdir(parents=True)
    blocked = shop.root / "normalized/date=2025-01-16"
    blocked.write_text("in the way")
    failed, output = pipeline(shop, as_of="2025-02-01")
    assert failed != 0, output
    blocked.unlink()
    status, output = pipeline(shop, as_of="2025-02-01")
    assert status == 0, output
    assert "curated/date=2025-01-16/fact_order.parquet" in shop.data()
    assert not list(shop.root.glob("runs/*/failed"))


def test_a_run_with_a_pinned_as_of_that_succeeded_is_complete(shop: Shop) -> None:
    assert pipeline(shop, as_of="2025-02-01")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in shop.root.rglob("*.json")}
    assert pipeline(shop, as_of="2025-02-01")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in shop.root.rglob("*.json")} == before
