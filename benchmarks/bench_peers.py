"""`make bench-peers`: the pipeline beside other tools that write the same three layers of one dump, and its growth.

Every figure is of a whole process, with its start and imports. Each peer has a venv of its own with pinned packages.
Each run writes to a new folder: after a deletion, ext4 searches for free inodes for long. The tools take turns and
their rows are compared, but not where the growth is measured. The figures go to the console and to RESULTS.md.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import growth
from rich.console import Console
from workshop import HERE, MIB, PIPELINE, ROOT, BenchFailed, Measured, Workshop, plain

OURS = "pipeline"
RESULTS = HERE / "RESULTS.md"
HEAD = "| what | wall s: median (min–max) | CPU s | peak MiB | times the pipeline's seconds | |"
PAGE = """\
# Results

`make bench-peers ARGS=--slow` writes this page. The figures are of whole processes. The page cache is warm, fsync is
off, and the pipeline writes no report. The pipeline and Polars use all cores, DuckDB and Spark two threads, pandas one.
The DuckDB script is tuned. The others are written as one would write them.

{machine}.
"""
PEERS_PART = """
## Other tools: {orders:,} orders, {dates:,} dates

All tools read one NDJSON dump, whose orders are in random order of their dates, and write a file or more for each
table and date. They take turns in {rounds} rounds{once}.
The normalized and curated rows that a tool writes in the last round are equal to the pipeline's; raw files are not
compared. The last column says what a tool lacks. CPU is a median, peak the largest value, and the factor the median of
the ratios of all rounds.

{table}
"""
TPCH_PART = """
## TPC-H, scale factor 1: 1,500,000 orders, 2,406 dates, 6,001,215 lines

The dump is made by benchmarks/tpch.py. The two take turns in {rounds} rounds. Both have all orders and lines, and equal
rows.

{table}
"""
GROWTH_PART = """
## Growth

![Seconds by orders and by dates](growth.svg)

Seconds. For each size the plain DuckDB script runs once, then a first load once. The other figures are medians of
{rounds} runs. A new date comes in a dump of its own, with as many orders as the other dates have, and is loaded by
`run --since`.

{table}
"""
TPCH = "tpchgen-cli==4.0.0"
# clauses 4.2.5.1 and 4.2.3 of TPC-H 3.0.1
TPCH_TOTALS = ("normalized orders      1,500,000 rows, equal", "curated    order_items 6,001,215 rows, equal")


@dataclass(frozen=True)
class Peer:
    """Another tool: its script, its packages, and what its output lacks beside the pipeline's.

    `is_elsewhere`: it works in a process of its own, so its CPU time and its memory are not known.
    """

    name: str
    script: str
    packages: tuple[str, ...]
    lacks: str
    is_elsewhere: bool = False

    @property
    def folder(self) -> str:
        """The name of the folder that the script writes to."""
        return Path(self.script).stem


NO_CHECKS = "checks of the input, ties, manifests, order in files, safety against kills"
NO_LAYERS = f"the raw and the normalized layer, {NO_CHECKS}"
PEERS = (
    Peer("plain DuckDB", "plain_three_layers.py", ("duckdb==2.0.0",), NO_CHECKS),
    Peer("Polars", "peers/polars_three_layers.py", ("polars==2.1.0",), NO_CHECKS),
    Peer("pandas", "peers/pandas_three_layers.py", ("pandas==3.1.1", "pyarrow==26.0.1"), NO_CHECKS),
)
# these run once
SLOW = (
    Peer("Spark, local[2]", "peers/spark_three_layers.py", ("pyspark==4.3.0",), NO_CHECKS, is_elsewhere=True),
    Peer("dlt, merge", "peers/dlt_merge.py", ("dlt[duckdb]==1.31.0", "duckdb==2.0.1"), NO_LAYERS),
)


def measured_in_turns(
    shop: Workshop, dump: Path, part: str, *, runs: int, peers: Sequence[Peer], slow: Sequence[Peer] = ()
) -> tuple[dict[str, Measured], list[str]]:
    """The pipeline and each peer on one dump. The outputs of the last round are compared with the pipeline's.

    Returns also a line for each table that was compared.
    """
    pythons = {peer.name: str(shop.venv(peer.packages) / "python") for peer in (*peers, *slow)}
    measured = {name: Measured(name) for name in (OURS, *pythons)}
    for turn in range(runs):
        out = shop.fresh(f"{part}_{turn}")
        out.mkdir()
        config = shop.config("ours", dump=dump, out=out / OURS)
        shop.measure(measured[OURS], PIPELINE, config)
        for peer in (*peers, *(slow if turn == runs - 1 else ())):
            command = plain(peer.script, dump, out / peer.folder, pythons[peer.name])
            shop.measure(measured[peer.name], command)
    lines = []
    for peer in (*peers, *slow):
        lines += shop.same(f"{OURS} / {peer.name}", out / OURS / "output", out / peer.folder)
    return measured, lines


def tpch_dump(shop: Workshop) -> Path:
    """The dump of TPC-H at scale factor 1. It is made if it is missing or older than its generator."""

    def make(part: Path) -> None:
        tables = shop.fresh("tpch_1")
        command = [str(shop.venv([TPCH]) / "tpchgen-cli"), "parquet", "--scale-factor", "1"]
        shop.check([*command, "--tables", "orders,lineitem", "--output-dir", str(tables)], "tpchgen")
        shop.check([sys.executable, str(HERE / "tpch.py"), str(tables), str(part)], "tpch")
        shop.fresh(tables.name)

    return shop.made("tpch_1.json", "tpch.py", make)


def table(measured: dict[str, Measured]) -> str:
    """A Markdown table with a row for the pipeline and each peer."""
    lacks = {peer.name: f"{', '.join(peer.packages)}; lacks {peer.lacks}" for peer in (*PEERS, *SLOW)}
    elsewhere = {peer.name for peer in SLOW if peer.is_elsewhere}
    ours = measured[OURS]
    rows = [HEAD, "|---|---|---|---|---|---|"]
    for name, row in measured.items():
        seconds = f"{median(row.seconds):.1f}"
        if len(row.seconds) > 1:
            seconds += f" ({min(row.seconds):.1f}–{max(row.seconds):.1f})"
        is_slow = len(row.seconds) < len(ours.seconds)
        ratio = f"{row.seconds[0] / median(ours.seconds) if is_slow else median(row.ratios(ours)):.2f}"
        used = f"{median(row.cpu_seconds):.1f} | {max(row.peak_bytes) / MIB:,.0f}"
        figures = f"{seconds} | {'– | –' if name in elsewhere else used} | {ratio}"
        rows.append(f"| {name} | {figures} | {lacks.get(name, '')} |")
    return "\n".join(rows)


def machine() -> str:
    """The processor, the cores, the memory, the day and the commit."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    git = shutil.which("git")
    words = [git, "describe", "--always", "--dirty"] if git else ["true"]
    commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    host = (
        f"{models[0].partition(': ')[2]}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    )
    return f"{host}; {datetime.now(UTC):%Y-%m-%d}, commit {commit}"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--dates", type=int, default=365)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="also Spark, which needs Java, and dlt; each once")
    parser.add_argument("--work", type=Path, help="folder that keeps dumps, venvs and logs for the next time")
    return parser.parse_args()


def parts(shop: Workshop, chosen: argparse.Namespace) -> Iterator[str]:
    """The parts of the page, each measured when it is asked for."""
    size, rounds = {"orders": chosen.orders, "dates": chosen.dates}, {"rounds": chosen.runs}
    slow = SLOW if chosen.slow else ()
    measured, _ = measured_in_turns(shop, shop.dump(**size), "peers", runs=chosen.runs, peers=PEERS, slow=slow)
    once = "; Spark and dlt run once" if slow else ""
    yield PEERS_PART.format(table=table(measured), once=once, **size, **rounds)
    measured, lines = measured_in_turns(shop, tpch_dump(shop), "tpch", runs=chosen.runs, peers=PEERS[:1])
    if not set(TPCH_TOTALS) <= set(lines):
        raise BenchFailed(f"TPC-H: expected {TPCH_TOTALS}, found {lines}")
    yield TPCH_PART.format(table=table(measured), **rounds)
    python = str(shop.venv(PEERS[0].packages) / "python")
    grown = growth.measured_sizes(shop, runs=chosen.runs, python=python)
    growth.draw(grown)
    for part in ("peers", "tpch"):
        for turn in range(chosen.runs):
            shop.fresh(f"{part}_{turn}")
    yield GROWTH_PART.format(table=growth.table(grown), **rounds)


def main() -> int:
    """The exit code: 1 if a command failed or outputs differ, else 0."""
    chosen = options()
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)
    page = PAGE.format(machine=machine())
    try:
        with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
            shop = Workshop((chosen.work or Path(temporary)).resolve(), console)
            for part in parts(shop, chosen):
                console.print(part, markup=False)
                page += part
                RESULTS.write_text(page, encoding="utf-8")
    except BenchFailed as failure:
        console.print(f"bench: {failure}", style="bold red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
