"""A real `cron -f`, started by the script of the service, runs the service's job each minute; for the deep run.

/etc/cron.d, /run and the user app exist only in a mount namespace, so the test leaves nothing on the machine.
Two crons run side by side: one asks a quick API, the other an API so slow that a run takes more than a minute.
"""

import datetime as dt
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from api import MockApi, Scripted, mock_api, scripted
from depth import deep
from processes import BIN, PRODUCTS, REPOSITORY, USERS
from services import lacking, stop

WHY_NOT = lacking("cron", "crontab", "flock")
pytestmark = [deep("tests of a real cron"), pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]

RUNS = 3
DEADLINE_SECONDS = 300
# four dates, one after the other, take longer than a minute
SLOW_MILLISECONDS = 25_000
SECRET = 'it\'s a $ecret with "quotes" and a \\'
START = """
mount -t tmpfs tmpfs /run
mkdir /run/orders
for folder in /etc/cron.d /var/spool/cron/crontabs; do mount -t tmpfs -o mode=755 tmpfs $folder; done
if [ -e /etc/crontab ]; then mount --bind /dev/null /etc/crontab; fi
of_the_test() { cat >/run/own; cp /run/own "/run/${1##*/}"; mount --bind "/run/${1##*/}" "$1"; }
{ grep -v ^app: /etc/passwd; echo 'app:*:0:0::/:/bin/sh'; } | of_the_test /etc/passwd
{ grep -v ^app: /etc/group; echo 'app:*:0:'; } | of_the_test /etc/group
grep -v pam_loginuid /etc/pam.d/cron | of_the_test /etc/pam.d/cron
exec deploy/cron
"""


class Watched:
    """A cron that has run for some minutes: what its jobs said, the API that they asked, who hears their heartbeat."""

    def __init__(self, folder: Path, api: MockApi, heartbeat: Scripted) -> None:
        self.folder, self.api, self.heartbeat = folder, api, heartbeat

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def events(self) -> list[str]:
        """The starts, ends and refusals of runs, in their order."""
        return re.findall(r"event=(run_\w+)", self.log)


@pytest.fixture(scope="module")
def crons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watched, Watched]]:
    """The quick one after three runs, the slow one after a run, a refusal, and the start of the next run."""
    with ExitStack() as stack:
        os.environ["MOCK_TOKEN"] = SECRET
        stack.callback(os.environ.pop, "MOCK_TOKEN")
        quick, slow = (
            stack.enter_context(cron(tmp_path_factory.mktemp(name), latency_ms))
            for name, latency_ms in (("quick", 0), ("slow", SLOW_MILLISECONDS))
        )
        wait_until(lambda: len(quick.heartbeat.requests) >= RUNS and slow.events().count("run_start") >= 2)
        yield quick, slow


@contextmanager
def cron(folder: Path, latency_ms: int) -> Iterator[Watched]:
    """A cron whose job asks an API with an order of today and of each of the three days before."""
    orders = [{"order_id": f"o_{days}", "created_at": f"{days_ago(days)}T00:00:00Z"} for days in range(4)]
    (folder / "orders.json").write_text(json.dumps(orders))
    (folder / "users.csv").write_text(USERS)
    (folder / "products.csv").write_text(PRODUCTS)
    with (
        mock_api(folder / "orders.json", latency_ms=latency_ms, token_env="MOCK_TOKEN") as api,
        scripted(lambda *_: (200, {}, b"OK")) as heartbeat,
    ):
        (folder / "test.cfg").write_text(settings(folder, api))
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", START],
                cwd=REPOSITORY,
                env=environment(folder) | {"ORDERS_HEARTBEAT_URL": heartbeat.url},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield Watched(folder, api, heartbeat)
            assert running.poll() is None, (folder / "log").read_text()
        finally:
            stop(running)


def environment(folder: Path) -> dict[str, str]:
    """What the container would have."""
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LUIGI_CONFIG_PATH": str(folder / "test.cfg"),
        "ORDERS_SCHEDULE": "* * * * *",
        "ORDERS_SINCE": "3 days ago",
        "ORDERS_API_TOKEN": SECRET,
    }


def settings(folder: Path, api: MockApi) -> str:
    return f"""
[core]
local_scheduler = true
[orders_api]
url = {api.url}
auth = bearer
parallel_windows = 1
[report]
after_each_run = false
[metrics]
textfile = {folder}/orders_lake.prom
[storage]
root = {folder}/lake
fsync = false
[warehouse]
path = {folder}/warehouse.db
users_csv = {folder}/users.csv
products_csv = {folder}/products.csv
"""


def days_ago(days: int) -> dt.date:
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=days)


def wait_until(condition: Callable[[], bool]) -> None:
    end, asked = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_SECONDS} s"
        asked.wait(0.5)


def test_each_minute_a_run_starts_and_ends_well(crons):
    quick, _ = crons
    assert quick.events()[: 2 * RUNS] == ["run_start", "run_end"] * RUNS
    assert len(re.findall(r"event=run_end .* failed=0 ", quick.log)) >= RUNS
    starts = re.findall(r"^(\S+ \S+),\d+ INFO event=run_start", quick.log, re.M)
    first, second, third = (dt.datetime.fromisoformat(start) for start in starts[:RUNS])
    assert dt.timedelta(seconds=50) < second - first < dt.timedelta(seconds=70)
    assert dt.timedelta(seconds=50) < third - second < dt.timedelta(seconds=70)


def test_the_first_run_builds_all_dates_and_later_ones_ask_no_more_for_what_is_settled(crons):
    quick, _ = crons
    assert re.findall(r"event=run_end .*built=(\d+)", quick.log)[:RUNS] == ["4", "0", "0"]
    pages = quick.api.stats()["pages"]
    asked = {date: count for window, count in pages.items() for date in re.findall(r"^\d{4}-\d\d-\d\d", window)}
    assert asked[str(days_ago(2))] == 1
    assert asked[str(days_ago(0))] >= RUNS


def test_metrics_and_heartbeat_move_with_each_run(crons):
    quick, _ = crons
    ends = len(re.findall(r"event=run_end", quick.log))
    assert len(quick.heartbeat.requests) in (ends - 1, ends)
    samples = re.findall(r"^orders_lake_(last_\w+) (\S+)$", (quick.folder / "orders_lake.prom").read_text(), re.M)
    figures = {name: float(value) for name, value in samples}
    starts = re.findall(r"event=run_start as_of=(\S+)", quick.log)
    assert figures["last_run_failed"] == 0
    assert figures["last_success_timestamp_seconds"] in [dt.datetime.fromisoformat(s).timestamp() for s in starts[-2:]]


def test_a_run_that_is_due_while_the_last_one_is_going_on_is_refused(crons):
    _, slow = crons
    assert slow.events()[:4] == ["run_start", "run_refused", "run_end", "run_start"]
    assert slow.api.stats()["requests"] >= 4
    assert '"the last scheduled run is still going" lock=/run/orders/lock' in slow.log


def test_a_job_has_the_environment_of_the_service_and_tells_no_secret(crons):
    assert all("event=run_end" in watched.log for watched in crons)  # the API lets nobody in without the secret
    assert all(SECRET not in watched.log for watched in crons)
