"""The pipeline alone and on a Spark cluster of this machine, by phase; writes benchmarks/CLUSTER.md.

Each executor has one core and the whole cluster is on this machine. So more executors than cores show only what the
cluster costs. All lakes must have equal bytes.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from bench_peers import machine
from rich.console import Console
from workshop import HERE, ROOT, BenchFailed, Workshop

sys.path.insert(0, str(ROOT / "tests"))
import spark

PAGE = HERE / "CLUSTER.md"
ALONE = 0
KINDS = {"first load": (), "`--reprocess`": ("--reprocess",)}
# a run that also tells how long its pieces took
TIMED = """
import sys, time
from pipeline.__main__ import script
from pipeline.events import emit
from pipeline.stages import staging

each = staging._each

def timed(*args):
    started = time.monotonic()
    yield from each(*args)
    emit("staged", seconds=time.monotonic() - started)

staging._each = timed
script()
"""
PHASES = ("start of the cluster", "split and land", "normalize: pieces", "normalize: rest", "curate: pieces")
PHASES += ("curate: rest", "other", "whole run")
EVENT = re.compile(r"^(\S+ \S+) \w+ event=(\w+)(.*)$", re.MULTILINE)


@dataclass
class Timed:
    """The seconds of the phases of one kind of run, a list for each phase with one element a round."""

    phases: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PHASES})

    def add(self, log: str, whole: float) -> None:
        """Read the events of one run."""
        opened, pieces, moments = 0.0, 0.0, {}
        # by stage: the seconds of its pieces, and all its seconds; above 31 dates a machine alone has a task a year
        staged: Counter[str] = Counter()
        written: Counter[str] = Counter()
        for moment, event, rest in EVENT.findall(log):
            moments[event] = datetime.strptime(moment, "%Y-%m-%d %H:%M:%S,%f").timestamp()
            seconds = re.search(r"seconds=(\S+)", rest)
            if event == "cluster_opened":
                opened = float(seconds[1])
            elif event == "staged":
                pieces = float(seconds[1])
            elif event == "written":
                stage = re.search(r"stage=(\S+)", rest)[1]
                staged[stage] += pieces
                written[stage] += float(seconds[1])
        figures = {
            "start of the cluster": opened,
            "split and land": moments["extracted"] - moments["run_start"] if "extracted" in moments else 0.0,
            "normalize: pieces": staged["normalized"],
            "normalize: rest": written["normalized"] - staged["normalized"] - opened,
            "curate: pieces": staged["curated"],
            "curate: rest": written["curated"] - staged["curated"],
        }
        for name, seconds in (figures | {"other": whole - sum(figures.values()), "whole run": whole}).items():
            self.phases[name].append(seconds)


@contextmanager
def address(executors: int) -> Iterator[list[str]]:
    """The options of a run on a cluster of this many executors."""
    if executors == ALONE:
        yield []
        return
    if lacking := spark.lacking():
        raise BenchFailed(lacking)
    with tempfile.TemporaryDirectory() as folder, spark.standalone(Path(folder), executors) as cluster:
        yield ["--cluster-address", cluster.address]


def main() -> None:
    """Measure, compare the bytes, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=3_000_000)
    parser.add_argument("--dates", type=int, default=1_095)
    parser.add_argument("--executors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "orders-lake-cluster")
    options = parser.parse_args()
    shop = Workshop(options.folder, Console(stderr=True))
    dump = shop.dump(options.orders, options.dates)
    counts = [ALONE, *options.executors]
    found = {(kind, count): Timed() for kind in KINDS for count in counts}
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    for _ in range(options.rounds):
        sums = {}
        for count in counts:
            out = shop.fresh(f"lake{count}")
            config = {"LUIGI_CONFIG_PATH": str(shop.config(f"lake{count}", dump=dump, out=out))}
            with address(count) as words:
                for kind, more in KINDS.items():
                    name = f"{kind.strip('`-')}_{count}"
                    command = [sys.executable, "-c", TIMED, "run", *words, *more]
                    seconds, _ = shop.check(command, name, config)
                    found[kind, count].add(shop.log(name).read_text(), seconds)
                    shop.console.print(f"  {kind}, {count} executor(s): {seconds:.1f} s", style="dim")
            sums[count] = hashes(out / "output")
        if any(sums[count] != sums[ALONE] for count in counts):
            raise BenchFailed("the lakes differ")
        shop.console.print(f"  {len(sums[ALONE]):,} data files with equal bytes", style="dim")
    PAGE.write_text(page(options, found, counts, len(sums[ALONE])), encoding="utf-8")


def hashes(lake: Path) -> dict[str, str]:
    """The sha256 of each data file and key file, by its path in the lake."""
    layers = ("raw", "normalized", "quarantine", "curated")
    files = [path for layer in layers for path in sorted((lake / layer).rglob("*.*")) if path.suffix != ".json"]
    files += (lake / "raw").rglob("orders_raw.json")
    return {str(path.relative_to(lake)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def page(options: argparse.Namespace, found: dict[tuple[str, int], Timed], counts: list[int], files: int) -> str:
    """The page in Markdown."""
    heads = ["alone", *(f"{count} executor{'s' * (count > 1)}" for count in counts[1:])]
    text = [
        "# On a cluster\n",
        f"`make bench-cluster` writes this page. {options.orders:,} orders on {options.dates:,} dates. The driver, the",
        "master and all executors share the cores of one machine. An executor has one core. The page cache is warm,",
        f"fsync is off, and there is no report. Seconds, medians of {options.rounds} round(s).",
        f"After each round the {files:,} data files and key files of all lakes had equal bytes.\n",
        f"{machine()}\n",
    ]
    for kind in KINDS:
        text += [
            f"## {kind[0].upper()}{kind[1:]}\n",
            f"| phase | {' | '.join(heads)} |",
            f"|---|{'---:|' * len(counts)}",
        ]
        for phase in PHASES:
            figures = " | ".join(f"{median(found[kind, count].phases[phase]):.1f}" for count in counts)
            text.append(f"| {phase} | {figures} |")
        text.append("")
    return "\n".join(text)


if __name__ == "__main__":
    main()
