"""Under a real luigid with two workers: what a run makes there is what it makes alone, to the byte."""

import json
import os
import shutil
import signal
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api import QUICK, mock_api
from processes import DEADLINE_SECONDS, REPOSITORY, Shop, command, finished

ORDERS = """
    order_id | amount | created_at           | updated_at           | items
    o_1      | 11     | 2025-01-16T09:00:00Z | 2025-01-18T00:00:00Z | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_1      | 10     | 2025-01-15T10:00:00Z |                      | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_2      | 20     | 2025-01-15T11:00:00Z |                      | [{"sku": "s_1"}, {"sku": "s_2"}]
    o_3      | 30     | 2025-01-17T10:00:00Z |                      | []
    o_4      | 40     | 2025-01-18T10:00:00Z |                      | [{"sku": "s_1", "qty": 2, "price": 3}]
"""


def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so, or fail at the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    asked = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"{condition.__name__}: not within {DEADLINE_SECONDS} s"
        asked.wait(0.05)


@pytest.fixture(scope="module")
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A luigid with the settings of luigi.cfg, as options that lead a run to it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("luigid")
    assert (REPOSITORY / "luigi.cfg").is_file()
    # luigi.cfg's settings, but nothing is written to the repository
    settings = (
        f"[scheduler]\nstate_path = {folder}/state\n[task_history]\ndb_connection = sqlite:///{folder}/history.db\n"
    )
    (folder / "luigid.cfg").write_text(settings)
    own = os.environ | {"LUIGI_CONFIG_PATH": str(folder / "luigid.cfg")}
    server = command("luigid", "--address", "127.0.0.1", "--port", str(port), env=own)

    def answers() -> bool:
        assert server.poll() is None, server.communicate()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/task_list?data={{}}", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    try:
        until(answers)
        yield ["--scheduler-host", "127.0.0.1", "--scheduler-port", str(port)]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        finished(server)


def run_all(shop: Shop, *arguments: str) -> None:
    code, output = finished(command("luigi", "--module", "pipeline", "RunAll", *arguments, *shop.options()))
    assert code == 0, output


@pytest.mark.parametrize("dates_per_task", [1, 2])
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


def test_the_visualizer_the_history_and_the_metrics_tell_of_a_run(tmp_path: Path, luigid: list[str]) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(ORDERS)
    run_all(shop, *luigid, "--workers", "2")
    url = f"http://127.0.0.1:{luigid[-1]}"
    asked = urllib.parse.urlencode({"data": json.dumps({"status": "DONE", "upstream_status": ""})})
    tasks = json.loads(read(f"{url}/api/task_list?{asked}"))["response"].values()
    messages = {(task["name"], task["status_message"], task["progress_percentage"]) for task in tasks}
    assert ("RunAll", "4 date(s) built", 100) in messages
    assert ("NormalizeOrders", "normalizing dates: 1 of 1", 100) in messages
    assert "RunAll" in read(f"{url}/history/by_name/RunAll")
    assert 'luigi_task_done_total{family="NormalizeOrders"}' in read(f"{url}/metrics")


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE_SECONDS) as answer:
        return answer.read().decode()
