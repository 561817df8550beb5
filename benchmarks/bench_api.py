"""`make bench-api`: compares extraction from the mock shop with a bare loop over the same pages.

The mock shop runs in its own process. Every figure is of a whole process, with its start and imports. Compared commands
take turns in one run of this script.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median

from bench import Goal
from rich.console import Console
from workshop import HERE, MIB, ROOT, START, Measured, Workshop

DATES = 30
LOOP = HERE / "plain_api_loop.py"
BARE = [sys.executable, str(LOOP), "--start", str(START), "--dates", str(DATES), "--url"]


@contextmanager
def served(dump: Path, latency_ms: int) -> Iterator[str]:
    """The URL of a mock shop over the dump."""
    command = [sys.executable, "-m", "mock_shop", "--port", "0", "--data", str(dump)]
    server = subprocess.Popen([*command, "--latency-ms", str(latency_ms)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().removeprefix("mock-shop: ").strip()
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def extraction(workshop: Workshop, url: str, task: str, *, page_size: int = 500, windows: int = 4) -> list[str]:
    """The command that extracts all dates into an empty lake."""
    out = workshop.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    end = START + timedelta(days=DATES)
    dates = {
        "FetchOrders": ["--date", f"{START}..{end - timedelta(days=1)}"],
        "RunAll": ["--since", str(START), "--until", str(end)],
    }
    luigi = [sys.executable, "-m", "luigi", "--module", "pipeline", task, "--local-scheduler", *dates[task]]
    config = workshop.config("api", dump=Path("unused"), out=out)
    text = config.read_text().replace("url = unused", f"url = {url}")
    settings = f"page_size = {page_size}\nparallel_windows = {windows}\nmax_requests_per_second = 10000\n"
    config.write_text(text.replace("[orders_api]\n", f"[orders_api]\n{settings}"))
    return luigi


def compare(workshop: Workshop, dump: Path, rounds: int) -> list[Goal]:
    """The pipeline compared with the bare loop, without latency; and its memory with ten times the pages."""
    loop, fetch, run = Measured("bare loop"), Measured("FetchOrders"), Measured("RunAll")
    many = Measured("FetchOrders, 50 a page")
    config = workshop.folder / "api.cfg"
    with served(dump, 0) as url:
        workshop.check([*BARE, url], "warm up")
        for _ in range(rounds):
            workshop.measure(loop, [*BARE, url])
            workshop.measure(fetch, extraction(workshop, url, "FetchOrders"), config)
            workshop.measure(run, extraction(workshop, url, "RunAll"), config)
        workshop.measure(many, extraction(workshop, url, "FetchOrders", page_size=50), config)
    return [
        Goal("FetchOrders / bare loop", median(fetch.ratios(loop)), 1.5, "x"),
        Goal("RunAll / bare loop (no goal set for it)", median(run.ratios(loop)), 99, "x"),
        Goal("peak with 10 times the pages / peak", many.peak_bytes[0] / median(fetch.peak_bytes), 1.1, "x"),
        Goal("peak of FetchOrders", max(fetch.peak_bytes) / MIB, 1024, " MiB"),
    ]


def compare_windows(workshop: Workshop, dump: Path, rounds: int) -> Goal:
    """Four windows at a time compared with one, with 50 ms of latency."""
    four, one = Measured("4 windows"), Measured("1 window")
    config = workshop.folder / "api.cfg"
    with served(dump, 50) as url:
        # the mock shop reads its dump at the first request
        workshop.check([*BARE, url], "warm up")
        for _ in range(rounds):
            workshop.measure(four, extraction(workshop, url, "FetchOrders", page_size=100), config)
            workshop.measure(one, extraction(workshop, url, "FetchOrders", page_size=100, windows=1), config)
    return Goal("4 windows / 1 window, at least 3.5 times as fast", median(four.ratios(one)), 1 / 3.5, "x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder), console)
        dump = workshop.dump(options.orders, DATES)
        goals = compare(workshop, dump, options.rounds)
        goals.append(compare_windows(workshop, dump, options.rounds))
    for goal in goals:
        console.print(goal.line(), highlight=False)


if __name__ == "__main__":
    main()
