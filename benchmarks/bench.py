"""`make bench`: compares the pipeline with two plain DuckDB scripts and checks the goals.

Every figure is of a whole process, with its start and imports. Compared commands take turns in one run of this script.
A ratio is the median of the ratios of all rounds. Dumps are made first and are in the page cache.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from workshop import MIB, PIPELINE, START, BenchFailed, Measured, Workshop, plain

OURS, OURS_FSYNC, THREE_LAYERS, CURATED = "pipeline", "pipeline, fsync", "plain three layers", "plain curated only"
COMPARED = (OURS, THREE_LAYERS, CURATED, OURS_FSYNC)
LAKE, NOTHING, NEW_DATE, FIVE_MILLION = "pipeline, building the lake", "nothing to do", "one new date", "5 M orders"


@dataclass(frozen=True)
class Goal:
    """A figure that should be at most `limit`."""

    what: str
    found: float
    limit: float
    unit: str

    def line(self) -> str:
        """The goal, the figure, and whether the goal is reached."""
        verdict = "[green]reached[/]" if self.found <= self.limit else "[bold red]not reached[/]"
        return f"{self.what}: {self.found:.2f}{self.unit}, goal ≤ {self.limit:g}{self.unit}: {verdict}"


def against_plain_scripts(shop: Workshop, *, orders: int, dates: int, runs: int) -> dict[str, Measured]:
    """The pipeline and the plain scripts on one dump, in turns. The outputs of the last round are compared."""
    shop.console.print(f"[bold]{orders:,} orders, {dates:,} dates")
    dump = shop.dump(orders, dates)
    folders = {OURS: "ours", OURS_FSYNC: "ours_fsync", THREE_LAYERS: "three_layers", CURATED: "curated_only"}
    out = {what: shop.folder / name for what, name in folders.items()}
    ours = shop.config("ours", dump=dump, out=out[OURS])
    ours_fsync = shop.config("ours_fsync", dump=dump, out=out[OURS_FSYNC], fsync=True)
    contenders = {
        OURS: (PIPELINE, ours),
        THREE_LAYERS: (plain("plain_three_layers.py", dump, out[THREE_LAYERS]), None),
        CURATED: (plain("plain_curated_only.py", dump, out[CURATED]), None),
        OURS_FSYNC: (PIPELINE, ours_fsync),
    }
    measured = {what: Measured(what) for what in contenders}
    for turn in range(runs):
        for what, (command, config) in list(contenders.items())[:: -1 if turn % 2 else 1]:
            shop.fresh(folders[what])
            shop.measure(measured[what], command, config)
    for what in (THREE_LAYERS, CURATED, OURS_FSYNC):
        shop.same(f"{OURS} / {what}", out[OURS] / "output", out[what] / "output" if what == OURS_FSYNC else out[what])
    for name in folders.values():
        shop.fresh(name)
    return measured


def published(root: Path) -> set[tuple[str, int, int]]:
    """Path, size and time of every data file of a lake."""
    files = (path for layer in ("raw", "normalized", "curated") for path in (root / layer).rglob("*.*"))
    return {(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()}


def lake_folder(orders: int, dates: int) -> str:
    """The name of the folder in which on_a_lake() leaves its lake."""
    return f"lake_{orders}_{dates}"


def on_a_lake(shop: Workshop, *, orders: int, dates: int, runs: int) -> dict[str, Measured]:
    """A large lake, built once; then runs with nothing to do, and runs that each add a new date from its own dump."""
    shop.console.print(f"[bold]A lake of {orders:,} orders, {dates:,} dates")
    measured = {what: Measured(what) for what in (LAKE, NOTHING, NEW_DATE)}
    out = shop.fresh(lake_folder(orders, dates))
    config = shop.config("lake", dump=shop.dump(orders, dates), out=out)
    shop.measure(measured[LAKE], PIPELINE, config)
    before = published(out / "output")
    for _ in range(runs):
        shop.measure(measured[NOTHING], PIPELINE, config)
    if published(out / "output") != before:
        raise BenchFailed("a run with nothing to do changed published files")
    for turn in range(runs):
        day = START + timedelta(days=dates + turn)
        dump = shop.dump(max(orders // dates, 1), 1, day, prefix=f"n{turn}_")
        shop.measure(measured[NEW_DATE], [*PIPELINE, "--since", str(day)], shop.config("new_date", dump=dump, out=out))
        if not (out / "output" / "curated" / f"date={day}" / "fact_order.parquet").is_file():
            raise BenchFailed(f"the run for the new date {day} published no fact_order")
    return measured


def at_five_million(shop: Workshop, *, dates: int) -> dict[str, Measured]:
    """The pipeline once on 5 M orders, for its peak memory."""
    shop.console.print(f"[bold]5,000,000 orders, {dates:,} dates, once")
    measured = {FIVE_MILLION: Measured(FIVE_MILLION)}
    config = shop.config("five_million", dump=shop.dump(5_000_000, dates), out=shop.fresh("five_million"))
    shop.measure(measured[FIVE_MILLION], PIPELINE, config)
    shop.fresh("five_million")
    return measured


def goals(measured: dict[str, Measured]) -> Iterator[Goal]:
    """The goals for which there are figures."""
    if OURS in measured:
        ours = measured[OURS]
        yield Goal(f"against {THREE_LAYERS}", median(ours.ratios(measured[THREE_LAYERS])), 1.0, "x")
        yield Goal(f"against {CURATED}", median(ours.ratios(measured[CURATED])), 2.0, "x")
        yield Goal("peak memory", max(ours.peak_bytes) / (1 << 30), 1, " GiB")
    for what, limit in ((NOTHING, 1.5), (NEW_DATE, 3)):
        if what in measured:
            yield Goal(what, median(measured[what].seconds), limit, " s")
    if FIVE_MILLION in measured:
        yield Goal("peak memory at 5 M orders", max(measured[FIVE_MILLION].peak_bytes) / (1 << 30), 2, " GiB")


def figures(measured: dict[str, Measured]) -> Table:
    """One row per measured command."""
    table = Table("what", "runs", "wall s: median (min-max)", "peak MiB", "x three layers", "x curated only")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in measured.values():
        seconds = f"{median(row.seconds):.2f} ({min(row.seconds):.2f}-{max(row.seconds):.2f})"
        beside = [
            f"{median(row.ratios(measured[other])):.2f}" if row.what in COMPARED else ""
            for other in (THREE_LAYERS, CURATED)
        ]
        table.add_row(row.what, str(len(row.seconds)), seconds, f"{max(row.peak_bytes) / MIB:,.0f}", *beside)
    return table


def machine() -> str:
    """The machine and its load average. The load should be well below the number of cores."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load average {load:.2f}"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1_000_000, help="orders of the comparison; 0 leaves it out")
    parser.add_argument("--dates", type=int, default=365)
    parser.add_argument("--lake-orders", type=int, default=3_000_000, help="orders of the large lake; 0 leaves it out")
    parser.add_argument("--lake-dates", type=int, default=1_095)
    parser.add_argument("--five-million", action="store_true", help="also run once on 5 M orders (2.7 GB of dump)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder that keeps dumps and logs for the next time")
    return parser.parse_args()


def run(chosen: argparse.Namespace, folder: Path, console: Console) -> None:
    """Measure what was chosen and print the figures and the goals."""
    shop = Workshop(folder.resolve(), console)
    measured: dict[str, Measured] = {}
    console.print(machine())
    if chosen.orders:
        measured |= against_plain_scripts(shop, orders=chosen.orders, dates=chosen.dates, runs=chosen.runs)
    if chosen.lake_orders:
        measured |= on_a_lake(shop, orders=chosen.lake_orders, dates=chosen.lake_dates, runs=chosen.runs)
        shop.fresh(lake_folder(chosen.lake_orders, chosen.lake_dates))
    if chosen.five_million:
        measured |= at_five_million(shop, dates=chosen.dates)
    console.print(figures(measured))
    for goal in goals(measured):
        console.print(goal.line())
    console.print("Goals are for 1,000,000 orders / 365 dates and a lake of 3,000,000 / 1,095.", machine(), style="dim")


def main() -> int:
    """The exit code: 1 if a command failed or outputs differ, else 0, whether or not the goals are reached."""
    chosen = options()
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)
    try:
        with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
            run(chosen, chosen.work or Path(temporary), console)
    except BenchFailed as failure:
        console.print(f"bench: {failure}", style="bold red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
