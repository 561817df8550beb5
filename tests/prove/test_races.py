"""Runs, tasks of dates, drop, restore, erase and SeedDims at once, while people read: nothing is lost, doubled or torn.

After the race one plain run ends in the lake that its raw partitions say.
"""

import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from central import running_luigid
from depth import by_depth, some
from forks import Forker
from processes import Reader
from tally import Tally
from trials import Trial, dated
from warm import started

RACES = by_depth(few=1, all=2, prove=20, night=100)
SINCE = "2025-01-15"
DATES = ["2025-01-15", "2025-01-16", "2025-01-17"]
ERASED = "u_2"
# what erase says if a run has asked the source after it, and drop if somebody has restored the date
AGAIN = re.compile("another run may have brought the data back meanwhile|another command has taken it back meanwhile")


class Analyst(threading.Thread):
    """Reads the lake in a loop: with queries of DuckDB over the warehouse's views, or with pyarrow's datasets.

    Both open a Parquet file twice, once for its metadata and once for its rows. A query whose file is replaced in
    between may fail, so an error counts only if no file was replaced while it read.
    """

    def __init__(self, trial: Trial, tool: str) -> None:
        super().__init__(daemon=True)
        self.root, self.warehouse, self.read = trial.shop.root, trial.shop.warehouse, getattr(self, tool)
        self.errors: list[str] = []
        self.reads = 0
        self._stop_asked = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        while not self._stop_asked.wait(0.01):
            before = self._files()
            try:
                self.read()
                self.reads += 1
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                if self._files() == before:
                    self.errors.append(repr(error))

    def _files(self) -> set[tuple[str, int]]:
        found = set()
        for layer in ("normalized", "curated"):
            for path in self.root.glob(f"{layer}/date=*/*.parquet"):
                with suppress(FileNotFoundError):
                    found.add((str(path), path.stat().st_ino))
        return found

    def duckdb(self) -> None:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            connection.execute("SELECT sum(fact_order.amount) FROM fact_order JOIN orders USING (order_id, date)")
            connection.execute("SELECT count(*) FROM order_items LEFT JOIN dim_product USING (sku)").fetchone()

    def pyarrow(self) -> None:
        for table in ("fact_order", "order_items"):
            files = sorted(map(str, self.root.glob(f"curated/date=*/{table}.parquet")))
            ds.dataset(files, format="parquet").to_table()
        pq.read_table(self.root / "curated/dim_user.parquet")


def commands(draw: random.Random, luigid: list[str]) -> list[list[str]]:
    """Three to five commands to be started at once: at least one run over all dates."""
    scheduler = draw.choice([["--local-scheduler"], luigid])
    date = draw.choice(DATES)

    def luigi(task: str, *words: str) -> list[str]:
        return ["luigi", "--module", "pipeline", task, *words, *scheduler]

    workers = ["--workers", str(draw.randint(1, 4))]
    runs = [luigi("RunAll", *workers), luigi("RunAll", "--force", *workers), ["pipeline", "run", *workers]]
    others = [
        *runs,
        luigi("RunAll", "--reprocess", *workers),
        luigi("WriteFactOrder", "--date", date, "--force"),
        luigi("WriteOrderItems", "--date", f"{DATES[0]}..{DATES[2]}", *workers),
        luigi("NormalizeOrders", "--date", date, "--reprocess"),
        luigi("SeedDims"),
        ["pipeline", "drop", "--date", date, "--reason", "a race"],
        ["pipeline", "drop", "--date", date, "--restore"],
        ["pipeline", "erase", "--user-id", ERASED, "--yes"],
    ]
    return [draw.choice(runs), *draw.sample(others, draw.randint(2, 4))]


@pytest.fixture(scope="module")
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with running_luigid(tmp_path_factory.mktemp("luigid")) as options:
        yield options


@contextmanager
def people_read(trial: Trial) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        readers = [Analyst(trial, "duckdb"), Analyst(trial, "pyarrow"), Reader(trial.shop.root)]
        yield [stack.enter_context(reader) for reader in readers]


def placed(trial: Trial, table: str) -> dict[str, set[str]]:
    """The files of a curated table in which each order_id is."""
    places: dict[str, set[str]] = {}
    for path in trial.shop.root.glob(f"curated/date=*/{table}.parquet"):
        for order_id in pq.read_table(path, partitioning=None)["order_id"].to_pylist():
            places.setdefault(order_id, set()).add(path.parent.name)
    return places


def wanted(trial: Trial) -> set[str]:
    """The orders of the raw partitions: what the lake may have left out is what was dropped or erased on purpose."""
    lines = [line for name, data in trial.shop.data("raw").items() if "date=2" in name for line in data.splitlines()]
    return {order["order_id"] for order in map(json.loads, lines) if "order_id" in order}


@pytest.mark.parametrize("number", some(range(RACES), [], "races"))
def test_whatever_runs_at_once_loses_no_order_doubles_none_and_disturbs_no_reader(
    tmp_path: Path, forker: Forker, luigid: list[str], tally: Tally, seed: int, number: int
) -> None:
    draw = random.Random(f"{seed} {number}")
    trial = Trial(
        tmp_path,
        forker,
        run_dates_per_task=draw.choice([1, 2, 31]),
        orders_api_settle_hours=10_000,
        orders_api_max_vanished_share=1,
    )
    trial.load_old()
    trial.change()
    chosen = commands(draw, luigid)
    with people_read(trial) as (duck, arrow, files):
        racing = [
            started(*words, *trial.shop.options(), out=tmp_path / f"said_{place}") for place, words in enumerate(chosen)
        ]
        ends = [run.end() for run in racing]
    ended = trial.forker.run(["run", *trial.shop.options()])
    found = placed(trial, "fact_order")
    lost = wanted(trial) - found.keys()
    doubled = [order_id for order_id, places in found.items() if len(places) > 1]
    torn = [*duck.errors, *arrow.errors, *files.torn]
    hung = [words for words, (code, _) in zip(chosen, ends, strict=True) if code == -9]
    tally("races", lost=len(lost), doubled=len(doubled), torn=len(torn), hung=len(hung))
    failed = [f"{words} ended with {code}: {said}" for words, (code, said) in zip(chosen, ends, strict=True) if code]
    unexcused = [text for text in failed if not AGAIN.search(text)]
    assert not unexcused, "\n".join(unexcused)
    assert ended["status"] == 0, ended["output"]
    assert (lost, doubled, torn[:3]) == (set(), [], []), chosen
    assert dated(trial.shop.data("normalized", "curated", "quarantine")) == trial.derived_from_raw(), chosen
    assert trial.shop.litter() == []
    assert min(duck.reads, arrow.reads, files.reads) > 0
