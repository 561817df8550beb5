"""Where a benchmark works: its dumps and its venvs, and the measuring of whole processes."""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from rich.console import Console

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PIPELINE = [sys.executable, "-m", "pipeline", "run"]
START = date(2018, 1, 1)  # so early that all of 2,406 dates are settled
MIB = 1 << 20


class BenchFailed(Exception):
    """A command failed or two outputs differ, so the figures mean nothing."""


@dataclass
class Measured:
    """The runs of one command: wall seconds, CPU seconds and peak resident bytes of each process."""

    what: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)

    def ratios(self, other: "Measured") -> list[float]:
        """This command's seconds divided by the other's, for each round."""
        return [mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]


class Workshop:
    """A folder for the dumps, the small CSVs and the output of each run."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.folder.mkdir(parents=True, exist_ok=True)
        self.users = self.folder / "users.csv"
        self.products = self.folder / "products.csv"
        write_dimensions(self.users, self.products)

    def dump(self, orders: int, dates: int, start: date = START, prefix: str = "o_") -> Path:
        """A dump of this size. It is made if it is missing or older than its generator."""
        size = ["--orders", str(orders), "--dates", str(dates), "--start", str(start), "--id-prefix", prefix]

        def make(part: Path) -> None:
            self.check([sys.executable, str(HERE / "generate.py"), *size, "--out", str(part)], "generate")

        return self.made(f"{prefix}{orders}_{dates}_{start}.json", "generate.py", make)

    def made(self, name: str, generator: str, make: Callable[[Path], None]) -> Path:
        """A dump that `make` writes if it is missing or older than its generator. It is in the page cache."""
        path = self.folder / name
        if not path.exists() or path.stat().st_mtime < (HERE / generator).stat().st_mtime:
            part = path.with_suffix(".part")
            make(part)
            part.replace(path)
        warm(path)
        return path

    def check(
        self, command: list[str], name: str, env: dict[str, str] | None = None
    ) -> tuple[float, resource.struct_rusage]:
        """Run a command; returns wall seconds and what it used. Its output goes to NAME.log."""
        log = self.log(name)
        os.sync()  # otherwise this run would wait for the writes of earlier runs
        with log.open("wb") as output:
            begin = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | (env or {}), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BenchFailed(f"{' '.join(command)} ended with {process.returncode}; the end of {log}:\n{tail}")
        return seconds, usage

    def log(self, name: str) -> Path:
        """The file with the output of the last check() of this name."""
        return self.folder / f"{name.replace(',', '').replace(' ', '_')}.log"

    def measure(self, measured: Measured, command: list[str], config: Path | None = None) -> None:
        """Run a command and add its figures."""
        env = {"LUIGI_CONFIG_PATH": str(config)} if config else None
        seconds, usage = self.check(command, measured.what, env)
        measured.seconds.append(seconds)
        measured.cpu_seconds.append(usage.ru_utime + usage.ru_stime)
        measured.peak_bytes.append(usage.ru_maxrss * 1024)
        self.console.print(f"  {measured.what}: {seconds:.2f} s, {usage.ru_maxrss / 1024:,.0f} MiB", style="dim")

    def venv(self, packages: Sequence[str]) -> Path:
        """The folder `bin` of a venv with these packages. The venv is made if it is missing."""
        venv = self.folder / "venvs" / re.sub(r"[^a-z0-9.=]+", "-", " ".join(packages))
        if not venv.exists():
            part = self.fresh("venvs/part")
            self.check([sys.executable, "-m", "venv", str(part)], "venv")
            self.check([str(part / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], "pip")
            part.rename(venv)
        return venv / "bin"

    def config(self, name: str, *, dump: Path, out: Path, fsync: bool = False) -> Path:
        """A luigi.cfg that makes the pipeline read `dump` and write below `out`."""
        path = self.folder / f"{name}.cfg"
        path.write_text(
            f"[orders_api]\nurl = {dump}\n\n[storage]\nroot = {out}/output\nfsync = {str(fsync).lower()}\n\n"
            f"[warehouse]\npath = {out}/duckdb_db/warehouse.db\nusers_csv = {self.users}\n"
            # the first report of a lake takes seconds, whatever is in the lake
            f"products_csv = {self.products}\n\n[report]\nafter_each_run = false\n",
            encoding="utf-8",
        )
        return path

    def fresh(self, name: str) -> Path:
        """A path below the folder. What is there is deleted."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def same(self, what: str, a: Path, b: Path) -> list[str]:
        """Raise BenchFailed unless two lakes hold equal rows. `what` names them in the output.

        Returns a line for each table that both have, with its number of rows.
        """
        self.check([sys.executable, str(HERE / "compare.py"), str(a), str(b)], "compare")
        lines = self.log("compare").read_text(encoding="utf-8").splitlines()
        for line in lines:
            self.console.print(f"  {what}: {line}", style="dim")
        return lines


def write_dimensions(users: Path, products: Path) -> None:
    """Write small CSVs with every sku and some of the users of the dumps."""
    rows = [f"u_{n:07d},user{n}@example.com,2021-01-01T00:00:00Z,{('DE', 'FR', 'US')[n % 3]}" for n in range(2_000)]
    users.write_text("\n".join(["user_id,email,created_at,country", *rows, ""]), encoding="utf-8")
    rows = [f"sku_{n:05d},Product {n},category {n % 20},{n % 90 + 1}.50" for n in range(5_000)]
    products.write_text("\n".join(["sku,name,category,price", *rows, ""]), encoding="utf-8")


def warm(path: Path) -> None:
    """Read a file once, so that no run pays for the disk."""
    with path.open("rb") as file:
        while file.read(16 * MIB):
            pass


def plain(script: str, dump: Path, out: Path, python: str = sys.executable) -> list[str]:
    """The command of a script that reads the dump and writes to the folder `out`."""
    return [python, str(HERE / script), str(dump), str(out)]
