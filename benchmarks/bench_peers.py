"""`make bench-peers`: the pipeline beside other tools that write the same three layers of one dump.

Every figure is of a whole process, with its start and imports. The tools take turns. Each peer has a venv of its own
with pinned packages. Each run writes to a new folder: after a deletion, ext4 searches for free inodes for long. The
rows of all are compared. The figures are printed and written to benchmarks/RESULTS.md.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench import HERE, MIB, PIPELINE, ROOT, BenchFailed, Measured, Workshop
from rich.console import Console

OURS = "pipeline"
RESULTS = HERE / "RESULTS.md"
HEAD = "| what | wall s: median (min–max) | CPU s | peak MiB | times the pipeline's seconds | |"
PAGE = """\
# Results

`make bench-peers` writes this page. All tools read one NDJSON dump, whose orders are in random order of their dates,
and write the same raw, normalized and curated rows, a file for each table and date. The figures are of whole processes
that take turns, in {rounds} rounds. The page cache is warm, fsync is off, and the pipeline writes no report.

{machine}.

## {orders:,} orders, {dates:,} dates

{table}
"""


@dataclass(frozen=True)
class Peer:
    """Another tool: its script, its packages, and what its output lacks beside the pipeline's."""

    name: str
    script: str
    packages: tuple[str, ...]
    lacks: str


NO_CHECKS = "checks of the input, ties, manifests, order in files, safety against kills"
PEERS = (
    Peer("plain DuckDB", "plain_three_layers.py", ("duckdb==2.0.0",), NO_CHECKS),
    Peer("Polars", "peers/polars_three_layers.py", ("polars==2.1.0",), NO_CHECKS),
    Peer("pandas", "peers/pandas_three_layers.py", ("pandas==3.1.1", "pyarrow==26.0.1"), NO_CHECKS),
)


def python_of(shop: Workshop, peer: Peer) -> str:
    """The Python of the peer's venv, which is made if it is missing."""
    venv = shop.folder / "venvs" / "-".join([peer.name.replace(" ", "_"), *peer.packages])
    python = venv / "bin" / "python"
    if not python.exists():
        shop.check([sys.executable, "-m", "venv", str(venv)], "venv")
        shop.check([str(python), "-m", "pip", "install", "--quiet", *peer.packages], "pip")
    return str(python)


def measured_in_turns(shop: Workshop, *, orders: int, dates: int, runs: int) -> dict[str, Measured]:
    """The pipeline and each peer on one dump. The outputs of the last round are compared with the pipeline's."""
    shop.console.print(f"[bold]{orders:,} orders, {dates:,} dates")
    dump = shop.dump(orders, dates)
    pythons = {peer.name: python_of(shop, peer) for peer in PEERS}
    measured = {name: Measured(name) for name in (OURS, *pythons)}
    for turn in range(runs):
        out = shop.fresh(f"round_{turn}")
        out.mkdir()
        config = shop.config("ours", dump=dump, out=out / OURS)
        shop.measure(measured[OURS], PIPELINE, config)
        for peer in PEERS:
            command = [pythons[peer.name], str(HERE / peer.script), str(dump), str(out / peer.name)]
            shop.measure(measured[peer.name], command)
    for peer in PEERS:
        shop.same(f"{OURS} / {peer.name}", out / OURS / "output", out / peer.name)
    for turn in range(runs):
        shop.fresh(f"round_{turn}")
    return measured


def table(measured: dict[str, Measured]) -> str:
    """A Markdown table with a row for the pipeline and each peer."""
    lacks = {peer.name: f"{', '.join(peer.packages)}; lacks {peer.lacks}" for peer in PEERS}
    rows = [
        "| what | wall s: median (min–max) | CPU s | peak MiB | time by the pipeline's | |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in measured.items():
        seconds = f"{median(row.seconds):.1f} ({min(row.seconds):.1f}–{max(row.seconds):.1f})"
        ratio = f"{median(row.ratios(measured[OURS])):.2f}"
        figures = f"{seconds} | {median(row.cpu_seconds):.1f} | {max(row.peak_bytes) / MIB:,.0f} | {ratio}"
        rows.append(f"| {name} | {figures} | {lacks.get(name, '')} |")
    return "\n".join(rows)


def machine() -> str:
    """The processor, the cores, the memory, the day and the commit."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    git = shutil.which("git")
    words = [git, "rev-parse", "--short", "HEAD"] if git else ["true"]
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
    parser.add_argument("--work", type=Path, help="folder that keeps dumps, venvs and logs for the next time")
    return parser.parse_args()


def main() -> int:
    """The exit code: 1 if a command failed or outputs differ, else 0."""
    chosen = options()
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)
    size = {"orders": chosen.orders, "dates": chosen.dates}
    try:
        with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
            shop = Workshop((chosen.work or Path(temporary)).resolve(), console)
            measured = measured_in_turns(shop, **size, runs=chosen.runs)
    except BenchFailed as failure:
        console.print(f"bench: {failure}", style="bold red", markup=False)
        return 1
    rounds = len(measured[OURS].seconds)
    RESULTS.write_text(PAGE.format(rounds=rounds, machine=machine(), table=table(measured), **size), encoding="utf-8")
    console.print(table(measured), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
