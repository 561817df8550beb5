"""Luigi's RangeDaily over the tasks of a date, and runs in which one date cannot be built."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from depth import deep, some
from processes import REPOSITORY, Shop
from warm import ended

ORDERS = """
    order_id | amount | created_at           | items
    o_1      | 10     | 2025-01-15T10:00:00Z | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_2      | 20     | 2025-01-16T11:00:00Z | [{"sku": "s_1"}, {"sku": "s_2"}]
    o_3      | 30     | 2025-01-18T10:00:00Z | []
"""


def range_daily(shop: Shop, *arguments: str) -> str:
    """RangeDaily of WriteFactOrder from 15 to 18 January, as a command; what it says."""
    days = ("--start", "2025-01-15", "--stop", "2025-01-18", "--days-back", "100000", *arguments)
    words = ("--module", "pipeline", "RangeDaily", "--of", "WriteFactOrder", *days, "--local-scheduler")
    code, output = ended("luigi", *words, *shop.options())
    assert code == 0, output
    return output


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "shop")
    shop.feed(ORDERS)
    return shop


def facts(shop: Shop) -> list[str]:
    return [name for name in shop.data("curated") if name.endswith("fact_order.parquet")]


def test_a_range_of_days_builds_each_of_its_dates_and_no_other(shop: Shop) -> None:
    range_daily(shop)
    assert facts(shop) == [f"curated/date=2025-01-{day}/fact_order.parquet" for day in (15, 16, 17)]


def test_a_range_of_days_asks_the_dates_whether_they_are_whole(shop: Shop) -> None:
    range_daily(shop)
    built = shop.data()
    times = {path: path.stat().st_mtime_ns for path in shop.root.glob("curated/*/fact_order.parquet")}
    lost = shop.root / "curated/date=2025-01-16/fact_order.parquet"
    lost.write_bytes(lost.read_bytes()[:-1])  # there, but not as it was published: a list of files would not tell
    range_daily(shop)
    assert shop.data() == built
    rebuilt = {path for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert rebuilt == {lost}


@deep("files that are garbage")
def test_bulk_complete_answers_with_the_dates_that_are_complete(shop: Shop, tmp_path: Path) -> None:
    code, output = ended("pipeline", "run", "--until", "2025-01-17", *shop.options())
    assert code == 0, output
    settings = tmp_path / "luigi.cfg"
    settings.write_text(f"[storage]\nroot = {shop.root}\n[orders_api]\nurl = {shop.dump}\n")
    ask = "import pipeline; print(pipeline.WriteFactOrder.bulk_complete(map(str, ['2025-01-16', '2025-01-18'])))"
    environment = os.environ | {"LUIGI_CONFIG_PATH": str(settings)}
    answer = subprocess.run(
        [sys.executable, "-c", ask], env=environment, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert answer.stdout == "['2025-01-16']\n", answer.stderr


def run_all(shop: Shop, *arguments: str) -> tuple[int, str]:
    return ended("pipeline", "run", *arguments, *shop.options())


def one_error(output: str) -> str:
    """The one line in which luigi tells why the run failed."""
    assert "Traceback" not in output, output
    lines = [line for line in output.splitlines() if "RunFailed: " in line]
    assert len(lines) == 1, output
    return lines[0]


def healed(shop: Shop, wanted: dict[str, bytes]) -> None:
    code, output = run_all(shop)
    assert code == 0, output
    assert shop.data() == wanted
    assert shop.litter() == []


@pytest.fixture
def wanted(shop: Shop, tmp_path: Path) -> dict[str, bytes]:
    """The data files of a lake that nothing happened to."""
    other = Shop(tmp_path / "undisturbed")
    other.feed(ORDERS)
    code, output = run_all(other)
    assert code == 0, output
    return other.data()


@deep("files that are garbage")
def test_a_date_whose_folder_cannot_be_made_fails_alone_and_is_healed_by_the_next_run(
    shop: Shop, wanted: dict[str, bytes]
) -> None:
    in_the_way = shop.root / "normalized" / "date=2025-01-16"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a plain file")
    code, output = run_all(shop)
    assert code == 30, output
    error = one_error(output)
    assert "2025-01-16" in error
    assert not any(day in error for day in ("2025-01-15", "2025-01-18"))
    spared = {name: content for name, content in wanted.items() if "2025-01-16" not in name}
    built = shop.data()
    assert {name: content for name, content in built.items() if "2025-01-16" not in name} == spared
    assert {name for name in built if "2025-01-16" in name} == {"raw/date=2025-01-16/orders_raw.json"}
    in_the_way.unlink()
    healed(shop, wanted)


@deep("foreign folders")
@pytest.mark.parametrize("layer", some(["raw", "curated"], ["raw"], "foreign folders"))
def test_a_date_whose_folder_is_a_plain_file_fails_alone_in_every_layer(
    shop: Shop, wanted: dict[str, bytes], layer: str
) -> None:
    in_the_way = shop.root / layer / "date=2025-01-16"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a plain file")
    code, output = run_all(shop)
    assert code == 30, output
    assert "2025-01-16" in one_error(output)
    spared = {name: content for name, content in wanted.items() if "2025-01-16" not in name}
    assert {name: content for name, content in shop.data().items() if "2025-01-16" not in name} == spared
    in_the_way.unlink()
    healed(shop, wanted)


@pytest.mark.parametrize("again", some(["--reprocess", "normalized lost"], ["--reprocess"], "files that are garbage"))
def test_a_raw_file_overwritten_with_as_much_garbage_fails_its_date_alone_and_the_errors_advice_heals_it(
    shop: Shop, wanted: dict[str, bytes], again: str
) -> None:
    assert run_all(shop)[0] == 0
    raw = shop.root / "raw/date=2025-01-16/orders_raw.json"
    raw.write_bytes(b"x" * raw.stat().st_size)
    if again == "normalized lost":
        (shop.root / "normalized/date=2025-01-16/orders.parquet").unlink()
        code, output = run_all(shop)
    else:
        code, output = run_all(shop, again)
    assert code == 30, output
    error = one_error(output)
    assert str(raw.relative_to(shop.root)) in error
    assert not any(day in error for day in ("2025-01-15", "2025-01-18"))
    assert "delete the file and run again" in error
    raw.unlink()
    healed(shop, wanted)


@deep("files that are garbage")
def test_a_raw_file_overwritten_with_as_much_garbage_is_landed_again_by_force(
    shop: Shop, wanted: dict[str, bytes]
) -> None:
    assert run_all(shop)[0] == 0
    raw = shop.root / "raw/date=2025-01-16/orders_raw.json"
    raw.write_bytes(b"x" * raw.stat().st_size)
    code, output = run_all(shop, "--force")  # the source is asked again, and what it says is good
    assert code == 0, output
    assert shop.data() == wanted


@deep("files that are garbage")
def test_a_curated_file_overwritten_with_as_much_garbage_is_mended_by_reprocess(
    shop: Shop, wanted: dict[str, bytes]
) -> None:
    assert run_all(shop)[0] == 0
    fact = shop.root / "curated/date=2025-01-16/fact_order.parquet"
    fact.write_bytes(b"x" * fact.stat().st_size)
    code, output = run_all(shop, "--reprocess", "--since", "2025-01-16", "--until", "2025-01-17")
    assert code == 0, output
    healed(shop, wanted)
