"""Several runs of one lake at once: they wait for the lake's lock, or say which lock is held."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from depth import deep
from filelock import FileLock
from processes import DEADLINE_SECONDS, Shop, command, finished
from warm import ended

SWAPPED = """
    order_id | amount | created_at           | updated_at           | items
    o_1      | 11     | 2025-01-16T09:00:00Z | 2025-01-18T00:00:00Z | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_1      | 10     | 2025-01-15T10:00:00Z |                      | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_2      | 20     | 2025-01-15T11:00:00Z |                      | [{"sku": "s_1"}, {"sku": "s_2"}]
    o_3      | 30     | 2025-01-17T10:00:00Z |                      | []
"""


def said(process: Popen[str], text: str) -> str:
    """Read a process's output until a line with the text; all lines up to it."""
    overdue = threading.Timer(DEADLINE_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    overdue.start()
    lines: list[str] = []
    while not lines or text not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], f"{process.args} ended without saying {text}:\n{''.join(lines)}"
    overdue.cancel()
    overdue.join()
    return "".join(lines)


@contextmanager
def held_by_somebody(shop: Shop) -> Iterator[None]:
    """The lake's lock is held, as another run would hold it."""
    shop.root.mkdir(parents=True, exist_ok=True)
    with FileLock(shop.root / ".lock"):
        yield


def run_all(shop: Shop, *arguments: str) -> Popen[str]:
    return command("pipeline", "run", *arguments, *shop.options())


def test_two_full_runs_and_a_forced_date_at_once_end_in_the_lake_of_one_run(tmp_path: Path) -> None:
    alone, together = Shop(tmp_path / "alone"), Shop(tmp_path / "together")
    for shop in (alone, together):
        shop.feed(SWAPPED)
    code, output = ended("pipeline", "run", *alone.options())
    assert code == 0, output

    with held_by_somebody(together):  # so that all three are there before the first one begins
        force = ("--local-scheduler", "WriteFactOrder", "--date", "2025-01-15", "--force")
        processes = [
            run_all(together),
            run_all(together),
            command("luigi", "--module", "pipeline", *force, *together.options()),
        ]
        starts = [said(process, "event=lock_waiting") for process in processes]
    ends = [finished(process) for process in processes]
    assert [code for code, _ in ends] == [0, 0, 0], ends
    assert all(start.count("event=lock_waiting") == 1 for start in starts)
    assert together.data() == alone.data()
    code, output = ended(
        "pipeline", "run", *together.options()
    )  # takes away the spool, if the forced date was the last to need one
    assert code == 0, output
    assert together.data() == alone.data()
    assert together.litter() == []


@deep("runs at once")
def test_runs_on_an_existing_lake_that_force_the_same_dates_at_once_change_no_byte(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(SWAPPED)
    code, output = ended("pipeline", "run", *shop.options())
    assert code == 0, output
    before = shop.data()
    ends = [finished(process) for process in [run_all(shop, "--force"), run_all(shop, "--force")]]
    assert [code for code, _ in ends] == [0, 0], ends
    assert shop.data() == before
    assert shop.litter() == []


def test_a_run_waits_for_the_lock_of_another_one_and_then_goes_on(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(SWAPPED)
    with held_by_somebody(shop):
        run = run_all(shop)
        said(run, "event=lock_waiting")
        assert shop.data() == {}
    code, output = finished(run)
    assert code == 0, output
    assert "curated/date=2025-01-15/fact_order.parquet" in shop.data()


def test_a_run_that_waits_too_long_for_the_lock_says_so_in_one_error_and_publishes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", storage_lock_timeout_seconds=1)
    shop.feed(SWAPPED)
    with held_by_somebody(shop):
        code, output = ended("pipeline", "run", *shop.options())
    assert code == 30, output
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if "LakeBusy" in line]
    assert len(errors) == 1, output
    assert "lock_timeout_seconds" in errors[0]
    assert str(shop.root / ".lock") in errors[0]
    assert [path.name for path in shop.root.iterdir()] == [".lock"]


def test_a_date_that_waits_too_long_for_the_lock_says_so_in_one_error_and_publishes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", storage_lock_timeout_seconds=1)
    shop.feed(SWAPPED)
    with held_by_somebody(shop):
        task = ("--local-scheduler", "WriteFactOrder", "--date", "2025-01-15")
        code, output = ended("luigi", "--module", "pipeline", *task, *shop.options())
    assert code == 30, output
    assert "Traceback" not in output
    assert output.count("LakeBusy") == 1, output
    assert shop.data() == {}


@deep("runs at once")
def test_what_building_takes_is_imported_once_and_not_by_the_task_of_each_date(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.feed(SWAPPED)
    times = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    code, output = finished(command("pipeline", "run", "--workers", "2", *shop.options(), env=times))
    assert code == 0, output
    imported = Counter(line.split("|")[-1].strip() for line in output.splitlines() if line.startswith("import time:"))
    once = {name: imported[name] for name in ("pyarrow._acero", "pipeline.sources.dump.source")}
    assert once == dict.fromkeys(once, 1)
    assert not imported["pandas.core"]
