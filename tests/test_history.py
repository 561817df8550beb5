"""The summaries of a lake's runs: which files count, and what summaries of older versions still tell."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from feeds import order
from lake import LakeUnderTest

from pipeline.lake.lake import Lake
from pipeline.observe.history import last_success, runs, summary, write_summary
from pipeline.report.content import results_of

AS_OF = dt.datetime(2025, 1, 20, 12)
NAME = "runs/20250120T120000.000000Z.json"
OLDEST: dict[str, Any] = {"as_of": "2025-01-20T12:00:00.000000Z", "dates": {}, "failed": {}, "checks": {}}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "runs").mkdir()
    return Lake(tmp_path, fsync=False)


def write(lake: Lake, content: str | bytes | dict[str, Any], name: str = NAME) -> None:
    text = json.dumps(content) if isinstance(content, dict) else content
    Path(lake.files.fetch(name)).write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    "content",
    [
        *("", "not JSON", "null", "[]", "{}", "[" * 100_000, b"\xff\xfe"),
        *({name: value for name, value in OLDEST.items() if name != lacking} for lacking in OLDEST),
        *(OLDEST | {name: 5} for name in OLDEST),
        *(OLDEST | {"as_of": as_of} for as_of in ("soon", "2025-01-21T12:00:00.000000Z", "2025-01-20T12:00:00Z")),
        OLDEST | {"dates": {"2025-01-15": {}}},
        OLDEST | {"failed": {"soon": "why"}},
        OLDEST | {"checks": {"shares": []}},
        OLDEST | {"errors": {"why": 1}},
        OLDEST | {"seconds": "long"},
        OLDEST | {"settled_dates_that_differ": 3},
    ],
)
def test_a_file_of_another_shape_counts_as_absent_and_is_named_once(
    lake: Lake, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write(lake, OLDEST)
    assert last_success(lake) == AS_OF
    write(lake, content)
    assert list(runs(lake)) == []
    assert last_success(lake) is None
    assert caplog.text.count(f"event=foreign path={lake.files.fetch(NAME)}") == 1
    assert summary(lake, NAME) is None


def test_a_run_that_took_no_number_of_seconds_has_no_history(lake: Lake) -> None:
    write(lake, OLDEST | {"seconds": float("nan")})
    assert list(runs(lake)) == []


@pytest.mark.parametrize("name", ["runs/20250121T120000.000000Z.json", "runs/copy.json", "runs/notes.txt"])
def test_a_summary_under_another_name_counts_as_absent(lake: Lake, name: str) -> None:
    write(lake, OLDEST, name)
    assert list(runs(lake)) == []


def test_a_lake_without_runs_has_no_history(tmp_path: Path) -> None:
    assert list(runs(Lake(tmp_path))) == []
    assert last_success(Lake(tmp_path)) is None


def test_the_errors_of_a_summary_that_lists_none_are_its_failed_dates_and_checks(lake: Lake) -> None:
    dates = {f"2025-01-{day}": {"built": {}, "error": "full disk"} for day in (15, 16)}
    failed = dict.fromkeys(dates, "full disk")
    write(lake, OLDEST | {"dates": dates, "failed": failed, "checks": {"shares": {"rows": 2}, "items": {"rows": 0}}})
    (run,) = runs(lake)
    assert summary(lake, NAME) == run
    assert run.errors == ["full disk", "check shares: 2 row(s)"]
    assert run.failed == failed
    assert last_success(lake) is None


def test_a_date_whose_content_was_asked_for_again_and_is_the_same_counts_as_skipped(lake: Lake) -> None:
    became = {"2025-01-15": {"raw": "open"}, "2025-01-16": {"raw": "open", "normalized": "open"}, "2025-01-17": {}}
    dates = {date: {"built": built, "error": None} for date, built in became.items()}
    write(lake, OLDEST | {"dates": dates})
    (run,) = runs(lake)
    assert results_of(run) == (1, 2, 0)


def test_a_summary_has_each_count_of_the_manifests_and_is_the_same_when_it_is_written_again(tmp_path: Path) -> None:
    items = [{"sku": "", "qty": "few", "price": "dear"}, {"sku": "s_1", "qty": 1}, "no line"]
    wrong = order("o_1", user_id="", amount="much", updated_at="soon", items=items)
    built = LakeUnderTest(tmp_path)
    assert built.run([wrong, order(""), order("o_2", created_at="soon")], AS_OF), built.errors
    counts: dict[str, Any] = {}
    for stage in ("raw", "normalized", "fact_order"):
        counts |= built.manifest(stage, "2025-01-15")["counts"]
    assert {"fields", "dropped_items"} <= counts.keys()
    fields = {"user_id", "amount", "updated_at", "sku", "qty", "price"}
    assert {name: of["first"] for name, of in counts["fields"].items() if "first" in of} == dict.fromkeys(fields, "o_1")
    written = built.summary(AS_OF)["dates"]["2025-01-15"]
    assert {name: written.get(name) for name in counts} == counts
    lake = Lake(built.root, fsync=False)
    before = Path(lake.files.fetch(NAME)).read_bytes()
    found = summary(lake, NAME)
    assert found is not None
    with lake.work.locked():
        write_summary(lake, found)
    assert Path(lake.files.fetch(NAME)).read_bytes() == before
