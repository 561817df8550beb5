"""Law 5: a run that is killed at any moment leaves whole files, and the next plain run finishes its work."""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from depth import by_depth, deep, some
from processes import Forker, Reader, Shop, Snapshot

# how many calls that change what is on disk lie between two moments of death
RENAMES_APART = by_depth(few=24, all=2, night=1)
STEPS_APART = by_depth(few=48, all=8, night=1)
RANDOM_MOMENTS = by_depth(few=8, all=50, night=500)
RENAMES = ("os.replace", "os.rename")
OTHER_STEPS = ("os.remove", "os.mkdir", "shutil.copyfile", "shutil.rmtree", "pyarrow.parquet.write_table")

# o_1 and o_4 will swap dates, o_6 will be new and the order without an id on another date; 17 January will be other
# orders in a raw file of the same size
OLD = """
    order_id | user_id | amount | created_at           | updated_at           | items
    o_1      | u_1     | 10     | 2025-01-15T10:00:00Z |                      | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_2      | u_1     | 20     | 2025-01-15T11:00:00Z |                      | [{"sku": "s_1"}, {"sku": "s_2"}]
    o_4      | u_2     | 40     | 2025-01-16T10:00:00Z |                      | []
             | u_5     | 50     | 2025-01-16T11:00:00Z |                      | []
    o_3      | u_1     | 30     | 2025-01-17T10:00:00Z |                      | [{"sku": "s_1", "qty": 2, "price": 5}]
    o_7      | u_1     | 70     | yesterday            |                      | []
"""
NEW = """
    order_id | user_id | amount | created_at           | updated_at           | items
    o_4      | u_2     | 41     | 2025-01-15T10:30:00Z | 2025-01-18T00:00:00Z | [{"sku": "s_2", "qty": 1, "price": 1}]
    o_2      | u_1     | 20     | 2025-01-15T11:00:00Z |                      | [{"sku": "s_1"}, {"sku": "s_2"}]
             | u_5     | 50     | 2025-01-15T11:00:00Z |                      | []
    o_1      | u_1     | 11     | 2025-01-16T09:00:00Z | 2025-01-18T00:00:00Z | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_6      | u_9     | 60     | 2025-01-16T12:00:00Z |                      | [{"sku": "s_9", "qty": 1, "price": 6}]
    o_3      | u_1     | 33     | 2025-01-17T10:00:00Z |                      | [{"sku": "s_1", "qty": 3, "price": 5}]
    o_8      | u_1     | 80     |                      |                      | []
"""
MORE_USERS = "user_id,email,created_at,country\nu_1,ada@example.com,,DE\nu_2,bo@example.org,,FR\n,nobody,,\n"
FIRST, SECOND, LATER, LAST = ("2025-02-01", "2025-02-02", "2025-02-03", "2025-02-04")


class Trial:
    """A shop in one folder, whose runs are killed; `undisturbed` is how the lake looks when they are not."""

    def __init__(self, folder: Path, forker: Forker, **settings: Any) -> None:
        self.shop, self.forker, self.folder = Shop(folder / "shop", **settings), forker, folder
        self.oracles: dict[Any, dict[str, bytes]] = {}

    def run(self, as_of: str, *arguments: str, moment: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.forker.run(["run", *arguments, *self.shop.options(run_as_of=as_of)], **(moment or {}))

    def finish(self, as_of: str, *arguments: str) -> dict[str, Any]:
        """A run that must succeed."""
        ended = self.run(as_of, *arguments)
        assert ended["status"] == 0, ended["output"]
        return ended

    def load_old(self) -> None:
        self.shop.feed(OLD)
        self.finish(FIRST)

    def change(self) -> None:
        self.shop.feed(NEW)
        self.shop.users_csv.write_text(MORE_USERS)

    def seen(self) -> list[Any]:
        """What people see of the lake: its files, what their manifests say, the warehouse's tables and views."""
        with duckdb.connect(self.shop.warehouse, read_only=True) as warehouse:
            names = ("users", "products", "fact_order", "order_items", "orders", "dim_user", "dim_product")
            tables = {name: sorted(map(repr, warehouse.table(name).fetchall())) for name in names}
        return [self.shop.data(), self.shop.commitments(), tables]

    def derived_from_raw(self) -> dict[str, bytes]:
        """What a lake without a history makes of the raw partitions that this one has."""
        raw = self.shop.data("raw")
        key = tuple(raw.items())
        if key not in self.oracles:
            other = Shop(self.folder / f"oracle_{len(self.oracles)}", **self.shop.settings)
            shutil.copytree(self.shop.root / "raw", other.root / "raw")
            ended = self.forker.run(["run", "--reprocess", *other.options(run_as_of=LAST)])
            assert ended["status"] == 0, ended["output"]
            self.oracles[key] = dated(other.data("normalized", "curated", "quarantine"))
        return self.oracles[key]


def dated(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if "date=2" in name}


def moments_of_death(trial: Trial, before: Snapshot, reader: Reader, plan: list[Any], *argv: str) -> Iterator[str]:
    """Put the lake back and kill the run at its next moment, until it outlives the moment, for each kind of moment."""
    for calls, when, every in plan:
        nth, status = 1, -9
        while status == -9:
            with reader.sweeping:
                before.restore()
            status = trial.run(*argv, moment={"calls": calls, "nth": nth, "when": when})["status"]
            reader.sweep()
            if status == -9:
                yield f"{when} call {nth} of {', '.join(calls)}"
            nth += every
        assert status == 0


def plan_of(when: str) -> list[Any]:
    """Moments before each rename stand for those after the one before: what is published is the same."""
    moments = [(RENAMES, when, RENAMES_APART), (OTHER_STEPS, "after", STEPS_APART)]
    opposite = {"before": "after", "after": "before"}[when]
    return moments + by_depth(few=[], all=[], night=[(RENAMES, opposite, 1), (OTHER_STEPS, "before", 1)])


def test_a_first_load_killed_around_any_rename_is_finished_by_a_plain_run(tmp_path: Path, forker: Forker) -> None:
    trial = Trial(tmp_path, forker, run_dates_per_task=31)
    trial.shop.feed(OLD)
    before = Snapshot(trial.shop, tmp_path / "before")
    trial.finish(FIRST)
    undisturbed = trial.seen()
    with Reader(trial.shop.root) as reader:
        for moment in moments_of_death(trial, before, reader, plan_of("before"), FIRST):
            trial.finish(SECOND)
            assert trial.seen() == undisturbed, moment
            assert trial.shop.litter() == [], moment
    assert reader.torn == []
    assert reader.reads > 0


def test_a_forced_run_that_moves_orders_and_is_killed_around_any_rename_leaves_what_its_raw_partitions_say(
    tmp_path: Path, forker: Forker
) -> None:
    trial = Trial(tmp_path, forker, run_dates_per_task=31)
    trial.load_old()
    old = trial.shop.data("raw")
    trial.change()
    before = Snapshot(trial.shop, tmp_path / "before")
    force = ("--force", "--since", "2025-01-16")  # 15 January is a neighbour: it shares o_1 and o_4, and is not forced
    trial.finish(SECOND, *force)
    dimensions = trial.shop.data("curated/dim", "quarantine/dim")
    new, undated = trial.shop.data("raw"), "raw/date=__HIVE_DEFAULT_PARTITION__/orders_raw.json"
    same_size = "raw/date=2025-01-17/orders_raw.json"
    assert len(old[same_size]) == len(new[same_size])
    with Reader(trial.shop.root) as reader:
        for moment in moments_of_death(trial, before, reader, plan_of("after"), SECOND, *force):
            trial.finish(LATER)
            raw = trial.shop.data("raw")
            assert all(raw[name] in (old[name], new[name]) for name in new), moment
            assert raw[undated] == new[undated], moment
            assert trial.shop.data("curated/dim", "quarantine/dim") == dimensions, moment
            assert dated(trial.shop.data("normalized", "curated", "quarantine")) == trial.derived_from_raw(), moment
            assert trial.shop.litter() == [], moment
    assert reader.torn == []
    assert reader.raw <= {*old.values(), *new.values()}
    assert len(trial.oracles) > 1


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
            killed += trial.run(SECOND, *force, moment=moment)["status"] == -9
            reader.sweep()
            if number % 2:
                again = {"kill_after_seconds": seconds * chance.random()}
                killed += trial.run(LATER, moment=again)["status"] == -9
            trial.finish(LAST)
            assert trial.seen() == undisturbed, moment
            assert trial.shop.litter() == [], moment
    assert reader.torn == []
    assert killed > moments / 2


@pytest.mark.parametrize("warehouse", some(["there", "new"], ["there"], "moments of death"))
def test_seeding_that_is_killed_at_any_step_leaves_the_old_warehouse_or_the_new_and_is_done_by_the_next_run(
    tmp_path: Path, forker: Forker, warehouse: str
) -> None:
    trial = Trial(tmp_path, forker)
    trial.load_old()
    trial.shop.users_csv.write_text(MORE_USERS)
    if warehouse == "new":
        trial.shop.warehouse.unlink()
    before = Snapshot(trial.shop, tmp_path / "before")
    trial.finish(SECOND)
    undisturbed = trial.seen()
    apart = by_depth(few=20, all=3, night=1)
    whens = [((*RENAMES, *OTHER_STEPS), when, apart) for when in ("before", "after")]
    with Reader(trial.shop.root) as reader:
        for moment in moments_of_death(trial, before, reader, whens, SECOND):
            if trial.shop.warehouse.exists():
                with duckdb.connect(trial.shop.warehouse, read_only=True) as connection:
                    assert connection.table("users").fetchall(), moment
            trial.finish(LATER)
            assert trial.seen() == undisturbed, moment
            assert trial.shop.litter() == [], moment
    assert reader.torn == []


def errors_of(ended: dict[str, Any]) -> list[str]:
    """The errors that luigi tells of a run that failed as it should: luigi.cfg's exit code, no traceback."""
    assert ended["status"] == 30, ended["output"]
    assert "Traceback" not in ended["output"], ended["output"]
    errors = [line for line in ended["output"].splitlines() if line.startswith("ERROR: ")]
    assert all("No space left on device" in error for error in errors), ended["output"]
    assert errors, ended["output"]
    return errors


def test_a_disk_that_fills_up_at_any_step_fails_the_run_and_the_next_run_heals_the_lake(
    tmp_path: Path, forker: Forker
) -> None:
    trial = Trial(tmp_path, forker, run_dates_per_task=31, orders_api_settle_hours=10_000)
    trial.load_old()
    trial.change()
    before = Snapshot(trial.shop, tmp_path / "before")
    trial.finish(SECOND)
    undisturbed, nth, status = trial.seen(), 1, 30
    with Reader(trial.shop.root) as reader:
        while status:
            with reader.sweeping:
                before.restore()
            moment = {"calls": (*RENAMES, "pyarrow.parquet.write_table", "shutil.copyfile"), "nth": nth, "when": "full"}
            ended = trial.run(SECOND, moment=moment)
            status = ended["status"]
            if status:
                errors_of(ended)
                trial.finish(LATER)
                assert trial.seen() == undisturbed, moment
                assert trial.shop.litter() == [], moment
            nth += by_depth(few=45, all=10, night=1)
    assert reader.torn == []
    assert nth > 30


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
