"""A run with two workers under a real luigid makes the same bytes as a run with a local scheduler."""

import json
import shutil
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import pytest
from api import QUICK, mock_api
from central import running_luigid
from depth import deep, some
from processes import DEADLINE_SECONDS, Shop
from warm import ended

ORDERS = """
    order_id | amount | created_at           | updated_at           | items
    o_1      | 11     | 2025-01-16T09:00:00Z | 2025-01-18T00:00:00Z | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_1      | 10     | 2025-01-15T10:00:00Z |                      | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_2      | 20     | 2025-01-15T11:00:00Z |                      | [{"sku": "s_1"}, {"sku": "s_2"}]
    o_3      | 30     | 2025-01-17T10:00:00Z |                      | []
    o_4      | 40     | 2025-01-18T10:00:00Z |                      | [{"sku": "s_1", "qty": 2, "price": 3}]
"""


@pytest.fixture(scope="module")
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with running_luigid(tmp_path_factory.mktemp("luigid")) as options:
        yield options


def run_all(shop: Shop, *arguments: str, code: int = 0) -> str:
    status, output = ended("luigi", "--module", "pipeline", "RunAll", *arguments, *shop.options())
    assert status == code, output
    return output


def asked(luigid: list[str], method: str, **what: str) -> Any:
    """What luigid answers to one of the requests that its visualizer makes."""
    data = urllib.parse.urlencode({"data": json.dumps(what)})
    return json.loads(read(f"http://127.0.0.1:{luigid[-1]}/api/{method}?{data}"))["response"]


def tasks(luigid: list[str]) -> dict[str, dict[str, Any]]:
    """All tasks that luigid shows, of all runs, by their ids."""
    return asked(luigid, "task_list", status="", upstream_status="")


def of_run(luigid: list[str], known: Container[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """The tasks that were not known before a run, by name and dates."""
    shown = {key: task for key, task in tasks(luigid).items() if key not in known}
    return {(task["name"], task["params"].get("date", "")): task | {"id": key} for key, task in shown.items()}


@pytest.mark.parametrize("dates_per_task", some([1, 2], [2], "runs under luigid"))
def test_a_lake_built_under_luigid_by_two_workers_equals_one_built_alone(
    tmp_path: Path, luigid: list[str], dates_per_task: int
) -> None:
    alone = Shop(tmp_path / "alone", run_dates_per_task=dates_per_task)
    central = Shop(tmp_path / "central", run_dates_per_task=dates_per_task)
    for shop in (alone, central):
        shop.feed(ORDERS)
    run_all(alone, "--local-scheduler")
    run_all(central, *luigid, "--workers", "2")
    assert central.data() == alone.data()
    assert central.commitments() == alone.commitments()
    assert central.litter() == []


@deep("runs under luigid")
def test_orders_of_an_api_that_two_workers_extract_under_luigid_are_those_of_the_dump(
    tmp_path: Path, luigid: list[str]
) -> None:
    alone, central = Shop(tmp_path / "alone"), Shop(tmp_path / "central")
    for shop in (alone, central):
        shop.feed(ORDERS)
    run_all(alone, "--local-scheduler")
    with mock_api(central.dump, fault_rate=0.2, seed=5) as api:
        quick = {f"orders_api_{name}": value for name, value in QUICK.items()}
        central.settings |= {"orders_api_url": api.url} | quick
        run_all(central, *luigid, "--workers", "2", "--since", "2025-01-15", "--until", "2025-01-19")
    tables = {name for name in alone.data() if name.startswith(("normalized/", "curated/"))}
    assert {name: central.data()[name] for name in tables} == {name: alone.data()[name] for name in tables}
    assert central.litter() == []


@deep("runs under luigid")
def test_runs_that_follow_one_another_under_luigid_are_never_taken_for_done(tmp_path: Path, luigid: list[str]) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(ORDERS)
    run_all(shop, *luigid, "--workers", "2")
    first = shop.data()
    shutil.rmtree(shop.root / "curated" / "date=2025-01-16")
    run_all(shop, *luigid, "--workers", "2")
    assert shop.data() == first
    shop.feed(ORDERS.replace("| 40 ", "| 44 "))
    run_all(shop, *luigid, "--workers", "2", "--force")
    changed = {name for name, content in shop.data().items() if first[name] != content}
    assert changed == {
        "raw/date=2025-01-18/orders_raw.json",
        "normalized/date=2025-01-18/orders.parquet",
        "curated/date=2025-01-18/fact_order.parquet",
    }


@deep("runs under luigid")
def test_the_visualizer_the_history_and_the_metrics_tell_of_a_run(tmp_path: Path, luigid: list[str]) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(ORDERS)
    run_all(shop, *luigid, "--workers", "2")
    url = f"http://127.0.0.1:{luigid[-1]}"
    shown = [task for task in tasks(luigid).values() if task["status"] == "DONE"]
    messages = {(task["name"], task["status_message"], task["progress_percentage"]) for task in shown}
    assert ("RunAll", "4 date(s) built", 100) in messages
    assert ("NormalizeOrders", "normalizing dates: 1 of 1", 100) in messages
    assert "RunAll" in read(f"{url}/history/by_name/RunAll")
    assert 'luigi_task_done_total{family="NormalizeOrders"}' in read(f"{url}/metrics")


def test_without_a_luigid_a_run_says_so_at_once_in_one_line_and_what_to_do(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    output = run_all(shop, "--scheduler-host", "127.0.0.1", "--scheduler-port", port, code=40)
    assert output.splitlines() == [
        f"ERROR: NoScheduler: http://127.0.0.1:{port}: no answer ([Errno 111] Connection refused); expected a luigid; "
        "start `luigid`, set [core] scheduler_host and scheduler_port, or run with --local-scheduler"
    ]
    assert not shop.root.exists()


@deep("runs under luigid")
def test_names_are_of_dates_and_of_what_people_ask_for_and_two_runs_share_no_task(
    tmp_path: Path, luigid: list[str]
) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(ORDERS)
    since = ("--since", "2025-01-16", "--until", "2025-01-17")
    known = tasks(luigid)
    run_all(shop, *luigid, *since, "--force")
    first = of_run(luigid, known)
    assert {task["display_name"] for task in first.values()} == {
        "RunAll(accept_fields=False, allow_shrink=False, changed_since=, force=True, reprocess=False, "
        "since=2025-01-16T00:00:00.000000Z, until=2025-01-17T00:00:00.000000Z, verbose=False)",
        "SeedDims(accept_fields=False, allow_shrink=False, force=True, reprocess=False)",
        "FetchOrders(accept_fields=False, allow_shrink=False, date=2025-01-16, force=True, reprocess=False)",
        "NormalizeOrders(accept_fields=False, allow_shrink=False, date=2025-01-16, force=True, reprocess=False)",
        "WriteFactOrder(accept_fields=False, allow_shrink=False, date=2025-01-16, force=True, reprocess=False)",
        "WriteOrderItems(accept_fields=False, allow_shrink=False, date=2025-01-16, force=True, reprocess=False)",
    }
    known = tasks(luigid)
    run_all(shop, *luigid, *since, "--force")
    second = of_run(luigid, known)
    assert second.keys() == first.keys()
    assert {task["status"] for task in second.values()} == {"DONE"}


def test_a_date_that_cannot_be_normalized_says_so_at_its_task_and_the_run_is_red_and_names_it(
    tmp_path: Path, luigid: list[str]
) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(ORDERS)
    run_all(shop, *luigid)
    raw = shop.root / "raw" / "date=2025-01-16" / "orders_raw.json"
    raw.write_bytes(raw.read_bytes().replace(b"o_1", b"o_7"))
    known = tasks(luigid)
    run_all(shop, *luigid, "--workers", "2", "--reprocess", code=30)
    shown = of_run(luigid, known)
    damage = "raw/date=2025-01-16/orders_raw.json: its bytes are not those that were landed"
    assert shown["NormalizeOrders", "2025-01-16"]["status_message"].startswith(f"1 of 1 date(s) failed: {damage}")
    assert shown["NormalizeOrders", "2025-01-17"]["status_message"] == "normalizing dates: 1 of 1"
    assert ("WriteFactOrder", "2025-01-15,2025-01-17..2025-01-18") in shown
    run = shown["RunAll", ""]
    assert run["status"] == "FAILED"
    assert run["status_message"] == "3 date(s) built, 1 date(s) failed: 2025-01-16"
    assert damage in asked(luigid, "fetch_error", task_id=run["id"])["error"]


@deep("runs under luigid")
def test_a_date_that_cannot_be_extracted_says_so_at_the_task_that_extracts_and_has_no_further_task(
    tmp_path: Path, luigid: list[str]
) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(ORDERS)
    run_all(shop, *luigid)
    shop.feed(ORDERS.replace("o_2 ", "o_8 "))
    known = tasks(luigid)
    run_all(shop, *luigid, "--force", code=30)
    shown = of_run(luigid, known)
    message = shown["FetchOrders", "2025-01-15..2025-01-18"]["status_message"]
    assert message.startswith("1 of 4 date(s) failed: raw date=2025-01-15: ")
    assert ("NormalizeOrders", "2025-01-16") in shown
    assert not {dates for _, dates in shown if dates.startswith("2025-01-15")} - {"2025-01-15..2025-01-18"}
    assert shown["RunAll", ""]["status"] == "FAILED"
    assert shown["RunAll", ""]["status_message"] == "3 date(s) built, 1 date(s) failed: 2025-01-15"


@deep("runs under luigid")
def test_dimensions_that_cannot_be_made_say_so_at_their_task(tmp_path: Path, luigid: list[str]) -> None:
    shop = Shop(tmp_path / "shop", warehouse_users_csv=tmp_path / "none.csv")
    shop.feed(ORDERS)
    known = tasks(luigid)
    run_all(shop, *luigid, code=30)
    shown = of_run(luigid, known)
    assert shown["SeedDims", ""]["status_message"].startswith(f"failed: [warehouse] users_csv = {tmp_path}/none.csv: ")
    assert shown["RunAll", ""]["status"] == "FAILED"


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE_SECONDS) as answer:
        return answer.read().decode()
