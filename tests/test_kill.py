"""Law 5: a run that is killed at any moment leaves whole files, and the next plain run finishes its work.

tests/prove/test_operations.py chooses the moments by what the run does to files.
"""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from depth import by_depth, deep, some
from forks import Forker
from processes import Reader, Snapshot
from trials import LAST, LATER, OLD, SECOND, Trial

RANDOM_MOMENTS = by_depth(few=5, all=50, night=500)


@pytest.mark.parametrize(
    ("dates_per_task", "workers", "share"),
    [pytest.param(1, "2", 0.2, marks=deep("moments of death")), (31, "1", 0.8)],
)
def test_a_forced_run_killed_at_random_and_again_while_healing_ends_in_the_lake_of_an_undisturbed_one(
    tmp_path: Path, forker: Forker, dates_per_task: int, workers: str, share: float
) -> None:
    # 10,000 hours: every date is open yet, so plain runs too bring what is new in the source
    trial = Trial(tmp_path, forker, run_dates_per_task=dates_per_task, orders_api_settle_hours=10_000)
    trial.load_old()
    trial.change()
    before = Snapshot(trial.shop, tmp_path / "before")
    force = ("--force", "--workers", workers)
    seconds = trial.finish(SECOND, *force)["seconds"]
    undisturbed, chance, killed = trial.seen(), random.Random(dates_per_task), 0
    moments = int(RANDOM_MOMENTS * share)
    with Reader(trial.shop.root) as reader:
        for number in range(moments):
            with reader.sweeping:
                before.restore()
            moment = {"kill_after_seconds": seconds * (number + chance.random()) / moments}
            killed += trial.run(SECOND, *force, **moment)["status"] == -9
            reader.sweep()
            if number % 2:
                again = {"kill_after_seconds": seconds * chance.random()}
                killed += trial.run(LATER, **again)["status"] == -9
            trial.finish(LAST)
            assert trial.seen() == undisturbed, moment
            assert trial.shop.litter() == [], moment
    assert reader.torn == []
    assert killed > moments / 2


def errors_of(ended: dict[str, Any]) -> list[str]:
    """The errors that luigi tells of a run that failed as it should: luigi.cfg's exit code, no traceback."""
    assert ended["status"] == 30, ended["output"]
    assert "Traceback" not in ended["output"], ended["output"]
    errors = [line for line in ended["output"].splitlines() if line.startswith("ERROR: ")]
    assert all("No space left on device" in error for error in errors), ended["output"]
    assert errors, ended["output"]
    return errors


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[], None]]:
    """An empty disk of that size mounted at the folder; call what it yields to make room."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=20m", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def first_load(tmp_path_factory: pytest.TempPathFactory, forker: Forker) -> list[Any]:
    """How the lake looks after a first load that nothing disturbs."""
    trial = Trial(tmp_path_factory.mktemp("first_load"), forker)
    trial.load_old()
    return trial.seen()


@pytest.mark.parametrize("kilobytes", some([4, 28, 52, 76, 100, 120], [52], "sizes of a full disk"))
def test_a_disk_that_is_really_full_fails_the_run_is_told_once_and_the_next_run_heals_the_lake(
    tmp_path: Path, forker: Forker, first_load: list[Any], kilobytes: int
) -> None:
    trial = Trial(tmp_path, forker)
    trial.shop.feed(OLD)
    with small_disk(trial.shop.root, kilobytes) as make_room:
        errors = errors_of(trial.run(SECOND))
        assert len(errors) == 1, errors
        assert "(None)" not in errors[0]
        make_room()
        trial.finish(LATER)
        assert trial.seen() == first_load
        assert trial.shop.litter() == []
