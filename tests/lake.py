"""A lake in its own folder: runs luigi in this process, and reads what the lake holds afterwards."""

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import luigi
import pyarrow.parquet as pq
from luigi.configuration import get_config
from luigi.task_register import Register

from pipeline import RunAll, SeedDims
from pipeline.commands.drop import drop_dates, restore_dates
from pipeline.commands.erase import erase_user
from pipeline.commands.plan import plan

UNDATED = "__HIVE_DEFAULT_PARTITION__"
DAY = dt.timedelta(days=1)

USERS = """\
user_id,email,created_at,country
u_1,ada@example.org,2024-05-01T08:00:00Z,DE
"""
PRODUCTS = """\
sku,name,category,price
s_1,"Mug, blue",kitchen,10
"""

_DATE = r"date=(\d{4}-\d\d-\d\d|__HIVE_DEFAULT_PARTITION__)"
DATA_FILE = re.compile(
    rf"raw/{_DATE}/orders_raw\.json|normalized/{_DATE}/(orders|items)\.parquet|quarantine/{_DATE}/orders\.parquet"
    rf"|curated/{_DATE}/(fact_order|order_items)\.parquet|curated/dim_(user|product)\.parquet"
    rf"|quarantine/dim_(user|product)\.parquet|normalized/{_DATE}/_orders\.keys|curated/{_DATE}/_fact_order\.keys"
)
MANIFEST = re.compile(
    rf"raw/{_DATE}/_raw\.json|normalized/{_DATE}/_normalized\.json|curated/{_DATE}/_(fact_order|order_items)\.json"
    r"|curated/_(dims|warehouse|report|report_charts)\.json|raw/_(inventory|changed_since)\.json"
)
FOLDER = re.compile(rf"runs|(raw|normalized|quarantine|curated)(/{_DATE})?")
OTHER = re.compile(r"runs/.*|report\.html|\.lock|\.extracting")


class LakeUnderTest:
    """A lake under `folder`: its root, its dump, its warehouse and the dimensions' CSV files."""

    def __init__(self, folder: Path, *, settle_hours: float = 6, max_vanished_share: float = 0.2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.root, self.dump, self.warehouse = folder / "lake", folder / "dump.json", folder / "warehouse.db"
        self.users_csv, self.products_csv = folder / "users.csv", folder / "products.csv"
        self.users_csv.write_text(USERS)
        self.products_csv.write_text(PRODUCTS)
        self.settings: dict[str, dict[str, Any]] = {
            "orders_api": {"url": self.dump, "settle_hours": settle_hours, "max_vanished_share": max_vanished_share},
            "storage": {"root": self.root, "fsync": "false", "lock_timeout_seconds": 60},
            "warehouse": {"path": self.warehouse, "users_csv": self.users_csv, "products_csv": self.products_csv},
            "engine": {"threads": 1},
            "run": {"dates_per_task": 0},
            # the first report of a lake takes seconds; tests/test_report.py has its tests
            "report": {"after_each_run": "false"},
        }

    def options(self) -> list[str]:
        """The settings as options of a command line."""
        return [
            option
            for section, keys in self.settings.items()
            for key, value in keys.items()
            for option in (f"--{section}-{key}".replace("_", "-"), str(value))
        ]

    # Runs

    def run(
        self,
        lines: list[bytes] | None,
        as_of: dt.datetime,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        *,
        workers: int = 1,
        dates_per_task: int = 0,
        **intent: bool,
    ) -> bool:
        """RunAll over a dump of these lines (None: the dump as it is); whether luigi calls it a success."""
        self.offer(lines)
        with self.configured(dates_per_task=dates_per_task):
            return _succeeds(RunAll(stamp=as_of, since=since, until=until, **intent), workers)

    def run_date(
        self,
        task: type[luigi.Task],
        dates: dt.date | Iterable[dt.date],
        lines: list[bytes] | None,
        as_of: dt.datetime,
        *,
        workers: int = 1,
        **intent: bool,
    ) -> bool:
        """A per-date task of one date or several, over a dump of these lines; whether luigi calls it a success."""
        self.offer(lines)
        days = [dates] if isinstance(dates, dt.date) else list(dates)
        with self.configured():
            return _succeeds(task(date=tuple(str(day) for day in days), stamp=as_of, **intent), workers)

    def seed(self, as_of: dt.datetime) -> bool:
        """SeedDims; whether luigi calls it a success."""
        with self.configured():
            return _succeeds(SeedDims(stamp=as_of), 1)

    def drop(self, dates: str, as_of: dt.datetime, reason: str = "test orders") -> list[str]:
        """`python -m pipeline drop`; what it says. Raises what it raises."""
        with self.configured():
            return drop_dates(dates, reason, RunAll(stamp=as_of).this_run)

    def restore(self, dates: str, as_of: dt.datetime) -> list[str]:
        with self.configured():
            return restore_dates(dates, RunAll(stamp=as_of).this_run)

    def erase(self, user_id: str, as_of: dt.datetime, *, really: bool = True) -> None:
        """`python -m pipeline erase`. Raises what it raises."""
        with self.configured():
            erase_user(user_id, RunAll(stamp=as_of).this_run, really=really)

    def plan(self, as_of: dt.datetime) -> list[str]:
        with self.configured():
            return plan(RunAll(stamp=as_of), everything=False)

    def offer(self, lines: list[bytes] | None) -> None:
        """Make these lines the dump; one that holds them already is left as it is."""
        content = None if lines is None else b"".join(line + b"\n" for line in lines)
        if content is not None and not (self.dump.exists() and self.dump.read_bytes() == content):
            self.dump.write_bytes(content)

    def write_dump(self, lines: list[bytes], written_at: dt.datetime) -> None:
        """Make these lines a dump that was written at this time, in UTC."""
        self.dump.write_bytes(b"".join(line + b"\n" for line in lines))
        seconds = written_at.replace(tzinfo=dt.UTC).timestamp()
        os.utime(self.dump, (seconds, seconds))

    @contextmanager
    def configured(self, **run: Any) -> Iterator[None]:
        """luigi's settings are this lake's meanwhile."""
        config = get_config()
        known = [section for section in self.settings if config.has_section(section)]
        before = {section: config.items(section, raw=True) for section in known}
        wanted = self.settings | {"run": self.settings["run"] | run}
        try:
            for section, keys in wanted.items():
                for key, value in keys.items():
                    config.set(section, key, str(value).replace("%", "%%"))
            Register.clear_instance_cache()
            yield
        finally:
            for section in self.settings:
                config.remove_section(section)
                for key, value in before.get(section, []):
                    config.set(section, key, value)

    @property
    def errors(self) -> list[str]:
        """What stopped the tasks of the last run in this process, with one worker."""
        return [f"{type(error).__name__}: {error}" for error in _errors]

    # What lies in it

    def curated(self, table: str, dates: Iterable[dt.date] | None = None) -> dict[dt.date, list[tuple]]:
        """The rows of `fact_order` or `order_items` by date, as its files hold them; of all dates or of these."""
        return self.rows("curated", table, dates)

    def normalized(self, table: str, dates: Iterable[dt.date] | None = None) -> dict[dt.date, list[tuple]]:
        """The rows of `orders` or `items` by date."""
        return self.rows("normalized", table, dates)

    def rows(self, layer: str, table: str, dates: Iterable[dt.date] | None = None) -> dict[dt.date, list[tuple]]:
        found = [self.root / name for name in self.names(DATA_FILE) if name.startswith(f"{layer}/date=")]
        dated = [path for path in found if path.stem == table and _date_of(path) != UNDATED]
        paths = {dt.date.fromisoformat(_date_of(path)): path for path in dated}
        return {date: _rows(path) for date, path in paths.items() if dates is None or date in dates}

    def quarantine(self, dates: Iterable[dt.date] | None = None) -> dict[str, list[tuple[str, bytes]]]:
        """By date (or UNDATED) the reason and the record of each discard, in the order of the raw file."""
        chosen = None if dates is None else {UNDATED, *map(str, dates)}
        found = {}
        for path in sorted(self.root.glob("quarantine/date=*/orders.parquet")):
            if chosen is None or _date_of(path) in chosen:
                rows = sorted(_rows(path))
                found[_date_of(path)] = [(reason, record.removesuffix(b"\n")) for _, reason, record in rows]
        return found

    def raw(self) -> dict[str, list[bytes]]:
        """By date (or UNDATED) the landed lines."""
        paths = sorted(self.root.glob("raw/date=*/orders_raw.json"))
        return {_date_of(path): path.read_bytes().split(b"\n")[:-1] for path in paths}

    def files(self) -> dict[str, bytes]:
        """The published data files by their path in the lake."""
        return {name: (self.root / name).read_bytes() for name in self.names(DATA_FILE)}

    def written(self) -> dict[str, tuple[int, int]]:
        """When each published data file was last written, and its inode."""
        stats = {name: (self.root / name).stat() for name in self.names(DATA_FILE)}
        return {name: (stat.st_mtime_ns, stat.st_ino) for name, stat in stats.items()}

    def manifests(self) -> dict[str, dict[str, Any]]:
        """The manifests, and the inventory, by their path in the lake."""
        return {name: json.loads((self.root / name).read_bytes()) for name in self.names(MANIFEST)}

    def manifest(self, name: str, date: dt.date | str) -> dict[str, Any]:
        """The manifest of a date's `raw`, `normalized`, `fact_order` or `order_items`."""
        layer = name if name in ("raw", "normalized") else "curated"
        return json.loads((self.root / layer / f"date={date}" / f"_{name}.json").read_bytes())

    def believe(self, name: str) -> None:
        """Note the hash of a key file as it is now in the manifest of its table, as if it had been published so."""
        folder, file = (self.root / name).parent, "_normalized.json" if "normalized" in name else "_fact_order.json"
        manifest = json.loads((folder / file).read_bytes())
        manifest["hashes"][name] = hashlib.sha256((self.root / name).read_bytes()).hexdigest()
        (folder / file).write_text(json.dumps(manifest))

    def forget_keys(self, date: dt.date | str) -> None:
        """Make a date one of an earlier version, which had no key files."""
        for layer, name in (("normalized", "normalized"), ("curated", "fact_order")):
            manifest = self.manifest(name, date)
            del manifest["order_ids"]
            for key_file in [file for file in manifest["hashes"] if file.endswith(".keys")]:
                del manifest["hashes"][key_file]
                (self.root / key_file).unlink()
            (self.root / layer / f"date={date}" / f"_{name}.json").write_text(json.dumps(manifest))

    def summary(self, as_of: dt.datetime) -> dict[str, Any]:
        """The summary that the RunAll of this as_of left."""
        return json.loads((self.root / f"runs/{as_of:%Y%m%dT%H%M%S.%fZ}.json").read_bytes())

    def litter(self) -> list[str]:
        """Whatever is neither a published file nor a manifest, a run's record, the inventory or the lock."""
        paths = {str(path.relative_to(self.root)): path.is_dir() for path in self.root.rglob("*")}
        wanted = {True: (FOLDER, OTHER), False: (DATA_FILE, MANIFEST, OTHER)}
        found = [name for name, folder in paths.items() if not any(known.fullmatch(name) for known in wanted[folder])]
        beside = {path.name for path in self.warehouse.parent.glob(f"{self.warehouse.name}?*")}
        beside.discard(f"{self.warehouse.name}.lock")
        return sorted([*found, *beside])

    def names(self, pattern: re.Pattern[str]) -> list[str]:
        """The paths, in the lake, of the files whose path is such."""
        paths = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(str(path) for path in paths if pattern.fullmatch(str(path)))


_errors: list[BaseException] = []


@luigi.Task.event_handler(luigi.Event.FAILURE)
def _note_error(_: luigi.Task, error: BaseException) -> None:
    _errors.append(error)


def _succeeds(task: luigi.Task, workers: int) -> bool:
    _errors.clear()
    result = luigi.build([task], local_scheduler=True, workers=workers, detailed_summary=True, log_level="CRITICAL")
    return result.status is luigi.LuigiStatusCode.SUCCESS


def _date_of(path: Path) -> str:
    return path.parent.name.removeprefix("date=")


def _rows(path: Path) -> list[tuple]:
    table = pq.read_table(path, partitioning=None)
    return [tuple(row.values()) for row in table.to_pylist()]
