"""The Prometheus textfile of a run, as node_exporter reads it."""

import datetime as dt
import re
from pathlib import Path

import pytest
from api import QUICK, scripted
from feeds import order
from lake import LakeUnderTest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import BadSetting

AS_OF = dt.datetime(2025, 1, 18, 12)
SENT = [
    order("o_1", created_at="2025-01-15T10:00:00Z"),
    order("o_1", created_at="2025-01-15T10:00:00Z", amount=1),
    order("o_2", created_at="2025-01-16T10:00:00Z"),
    order("", created_at="2025-01-16T10:00:00Z"),
    order("o_3", created_at="2025-01-18T10:00:00Z"),
    order("o_4", created_at="soon"),
]


def figures(path: Path) -> dict[str, float]:
    """The samples of a textfile by name and label, without the pipeline's prefix."""
    families = text_string_to_metric_families(path.read_text())
    samples = [sample for family in families for sample in family.samples]
    return {
        "/".join([sample.name.removeprefix("orders_lake_"), *sample.labels.values()]): sample.value
        for sample in samples
    }


@pytest.fixture
def textfile(lake: LakeUnderTest, tmp_path: Path) -> Path:
    lake.settings["metrics"] = {"textfile": tmp_path / "orders_lake.prom"}
    return tmp_path / "orders_lake.prom"


def test_the_figures_are_those_of_the_partitions_that_the_run_built(lake: LakeUnderTest, textfile: Path) -> None:
    assert lake.run(SENT, AS_OF), lake.errors
    found = figures(textfile)
    assert {
        name: value for name, value in found.items() if name.startswith(("run_orders", "run_disc", "run_part"))
    } == {
        "run_partitions/built": 3,
        "run_partitions/skipped": 0,
        "run_partitions/failed": 0,
        "run_orders/extracted": 6,
        "run_orders/kept": 3,
        "run_orders/superseded_here": 1,
        "run_orders/superseded_elsewhere": 0,
        "run_orders/excluded": 0,
        "run_discarded_orders/missing_order_id": 1,
        "run_discarded_orders/invalid_created_at": 1,
    }
    assert found["last_run_failed"] == 0
    assert found["last_success_timestamp_seconds"] == found["last_run_timestamp_seconds"] == 1737201600
    assert found["run_duration_seconds"] > 0


def test_values_that_are_not_accepted_are_figures_by_field(lake: LakeUnderTest, textfile: Path) -> None:
    """Of the orders that are built, as the newest version of each has them."""
    lines = [order("o_1", amount="much", user_id=...), order("o_2", items=[{"sku": "s_1", "qty": 2.5}])]
    assert lake.run(lines, AS_OF), lake.errors
    found = figures(textfile)
    values = {name: value for name, value in found.items() if name.startswith(("run_absent", "run_unread")) and value}
    assert values == {
        "run_absent_values/user_id": 1,
        "run_absent_values/updated_at": 2,
        "run_absent_values/price": 1,
        "run_unreadable_values/amount": 1,
        "run_unreadable_values/qty": 1,
    }


def test_freshness_counts_from_the_end_of_the_newest_settled_date(lake: LakeUnderTest, textfile: Path) -> None:
    """The 18th is open; the 16th ended at midnight, 36 hours before."""
    assert lake.run(SENT, AS_OF), lake.errors
    assert figures(textfile)["freshness_seconds"] == 36 * 3600


def test_a_run_with_nothing_to_do_built_nothing(lake: LakeUnderTest, textfile: Path) -> None:
    assert lake.run(SENT, AS_OF), lake.errors
    assert lake.run(None, AS_OF + dt.timedelta(days=2), until=dt.datetime(2025, 1, 17)), lake.errors
    found = figures(textfile)
    assert (found["run_partitions/built"], found["run_partitions/skipped"]) == (0, 2)
    assert found["run_orders/extracted"] == 0


def test_a_run_that_fails_keeps_the_time_of_the_last_success(lake: LakeUnderTest, textfile: Path) -> None:
    assert lake.run(SENT, AS_OF), lake.errors
    lake.dump.unlink()
    assert not lake.run(None, AS_OF + dt.timedelta(days=1))
    found = figures(textfile)
    assert found["last_run_failed"] == 1
    assert found["last_run_timestamp_seconds"] - found["last_success_timestamp_seconds"] == 24 * 3600


@pytest.mark.parametrize("content", ["not JSON", "[]", "{}", '{"as_of": 1}'])
def test_a_file_among_the_summaries_that_is_none_changes_no_figure(
    lake: LakeUnderTest, textfile: Path, content: str
) -> None:
    (lake.root / "runs").mkdir(parents=True)
    for name in ("20250117T120000.000000Z", "20250118T120000.000000Z", "20250119T120000.000000Z", "notes"):
        (lake.root / f"runs/{name}.json").write_text(content)
    assert lake.run(SENT, AS_OF), lake.errors
    found = figures(textfile)
    assert found["run_partitions/built"] == 3
    assert found["last_success_timestamp_seconds"] == found["last_run_timestamp_seconds"] == 1737201600


def test_retries_count_also_where_they_were_in_vain(lake: LakeUnderTest, textfile: Path) -> None:
    def reply(_: object, params: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return (503, {}, b"") if params["created_from"].startswith("2025-01-16") else (200, {}, b'{"orders": []}')

    with scripted(reply) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "attempts": 3}
        assert not lake.run(None, AS_OF, dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 17))
    found = figures(textfile)
    assert found["run_api_retries/503"] == 3
    assert found["run_partitions/failed"] == 1


def test_a_textfile_that_cannot_be_written_fails_no_run(
    lake: LakeUnderTest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake.settings["metrics"] = {"textfile": tmp_path / "no folder" / "orders_lake.prom"}
    assert lake.run(SENT, AS_OF), lake.errors
    assert "event=metrics_failed" in caplog.text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lake/curated/orders_lake.prom", "lies in the lake's folder"),
        ("warehouse.db", "is the file of [warehouse] path"),
        ("users.csv", "is the file of [warehouse] users_csv"),
        ("dump.json", "is the file of [orders_api] url"),
    ],
)
def test_a_textfile_does_not_replace_a_file_of_the_lake_or_of_a_source(
    lake: LakeUnderTest, tmp_path: Path, name: str, told: str
) -> None:
    lake.settings["metrics"] = {"textfile": tmp_path / name}
    with pytest.raises(BadSetting, match=re.escape(told)):
        lake.run([order("o_1")], AS_OF)
    assert not lake.root.exists()
