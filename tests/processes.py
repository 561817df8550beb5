"""Runs the pipeline as processes: real ones, and forked ones that die or meet a full disk at a chosen moment."""

import errno
import gc
import importlib
import io
import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

REPOSITORY = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 120
# the package, and what a run imports on its way
IMPORTED_ONCE = (
    *("pipeline.__main__", "pipeline.commands.run", "pipeline.sources.dump.source", "pipeline.sources.rest.source"),
    *("luigi.contrib.prometheus_metric", "multiprocessing.queues", "multiprocessing.synchronize"),
    *("pandas", "pyarrow.acero", "pyarrow.dataset", "rich.console", "rich.table"),
)
USERS = "user_id,email,created_at,country\nu_1,ada@example.org,2024-05-01T08:00:00Z,DE\n"
PRODUCTS = "sku,name,category,price\ns_1,Mug,kitchen,10\n"

DATE = r"date=(\d{4}-\d\d-\d\d|__HIVE_DEFAULT_PARTITION__)"
DATA_FILE = re.compile(rf"(raw/{DATE}/orders_raw\.json)|((normalized|quarantine|curated)/({DATE}/)?[a-z_]+\.parquet)")
MANIFEST = re.compile(rf"(raw|normalized|curated)/({DATE}/)?_[a-z_]+\.json")
OTHER = re.compile(rf"report\.html|\.lock|\.extracting|runs/.*|runs|(raw|normalized|quarantine|curated)(/{DATE})?")


class Shop:
    """A folder with a lake, the dump it is fed from, the dimensions' CSV files and the warehouse."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.root, self.warehouse = folder, folder / "lake", folder / "warehouse.db"
        self.dump, self.users_csv, self.products_csv = (
            folder / "dump.json",
            folder / "users.csv",
            folder / "products.csv",
        )
        self.users_csv.write_text(USERS)
        self.products_csv.write_text(PRODUCTS)
        self.settings = {"storage_fsync": "false", "engine_threads": 1, "report_after_each_run": "false"} | settings

    def feed(self, text: str) -> None:
        """Write the dump: a table of orders; a cell is JSON or else text, and an empty cell leaves its field out."""
        header, *rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
        orders = [{name: _value(cell) for name, cell in zip(header, row, strict=True) if cell} for row in rows]
        self.dump.write_text("".join(json.dumps(order) + "\n" for order in orders))

    def options(self, **settings: Any) -> list[str]:
        """What a command line needs to work on this lake."""
        paths = {
            "orders_api_url": self.dump,
            "storage_root": self.root,
            "warehouse_path": self.warehouse,
            "warehouse_users_csv": self.users_csv,
            "warehouse_products_csv": self.products_csv,
        }
        given = paths | self.settings | settings
        return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]

    def _found(self) -> list[str]:
        return [str(path.relative_to(self.root)) for path in sorted(self.root.rglob("*"))]

    def data(self, *layers: str) -> dict[str, bytes]:
        """Every published data file, of all layers or of some."""
        names = [name for name in self._found() if DATA_FILE.fullmatch(name)]
        return {name: (self.root / name).read_bytes() for name in names if name.startswith(layers or "")}

    def commitments(self) -> dict[str, Any]:
        """What each manifest promises, without what depends on when and how often it was written."""
        names = [name for name in self._found() if MANIFEST.fullmatch(name) and not name.endswith("_inventory.json")]
        manifests = {name: json.loads((self.root / name).read_text()) for name in names}
        return {
            name: [manifest.get("files"), {**manifest.get("counts", {}), "resurfaced": 0}, manifest.get("superseded")]
            for name, manifest in manifests.items()
        }

    def litter(self) -> list[str]:
        """Whatever lies in the lake or beside the warehouse and is nothing that a finished run leaves."""
        known = (DATA_FILE, MANIFEST, OTHER)
        strange = [name for name in self._found() if not any(kind.fullmatch(name) for kind in known)]
        beside = {path.name for path in self.folder.glob("warehouse.db?*")} - {"warehouse.db.lock"}
        return [*strange, *sorted(beside)]


def _value(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


class Snapshot:
    """A copy of a shop's folder, to be put back as it was: same paths, same bytes, same times."""

    def __init__(self, shop: Shop, kept_in: Path) -> None:
        self.shop, self.copy = shop, kept_in
        shutil.copytree(shop.folder, kept_in)

    def restore(self) -> None:
        shutil.rmtree(self.shop.folder)
        shutil.copytree(self.copy, self.shop.folder)


class Reader(threading.Thread):
    """Opens every published file again and again, whenever it has changed, and notes those that are torn."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.root, self.torn, self.reads, self.raw = root, [], 0, set()
        self._stop_asked, self._seen = threading.Event(), {}
        self.sweeping = threading.Lock()  # hold it while the test itself writes in the lake's folder

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        while not self._stop_asked.wait(0.02):
            self.sweep()

    def sweep(self) -> None:
        """Read what has changed since the last sweep."""
        with self.sweeping:
            for folder, _, files in os.walk(self.root):
                for file in files:
                    self._read(f"{folder}/{file}")

    def _read(self, path: str) -> None:
        name = path.removeprefix(f"{self.root}/")
        try:
            stat = os.stat(path)
            version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._seen.get(name) == version or not (DATA_FILE.fullmatch(name) or MANIFEST.fullmatch(name)):
                return
            content = Path(path).read_bytes()
        except FileNotFoundError:
            return
        self._seen[name] = version
        self.reads += 1
        try:
            self._check(name, content)
        except (ValueError, OSError) as error:
            self.torn.append(f"{name}: {error!r}")

    def _check(self, name: str, content: bytes) -> None:
        if name.endswith(".parquet"):
            pq.ParquetFile(io.BytesIO(content)).read(use_threads=False)
        elif name.endswith("orders_raw.json"):
            self.raw.add(content)
        else:
            json.loads(content)


class Forker:
    """A process with all imports done, of which each run is a fork: so 150 killed runs take a minute, not ten."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._server = subprocess.Popen(
            [sys.executable, __file__], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(DEADLINE_SECONDS)

    def run(self, argv: list[str], **moment: Any) -> dict[str, Any]:
        """`python -m pipeline` with these arguments: its exit status (-9 when killed), seconds and output.

        The moment to die is `kill_after_seconds`, or the `nth` of the `calls` named, `when` being before or after it;
        `when` = full means that from then on these calls say that the disk is full.
        """
        self.log.write_bytes(b"")
        self._server.stdin.write(json.dumps({"argv": argv, "log": str(self.log), "moment": moment}) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline()) | {"output": self.log.read_text()}


def serve() -> None:
    """The other end of a Forker: one request and one answer a line."""
    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what the children share stays shared: their garbage collector does not write to it
    for line in sys.stdin:
        request = json.loads(line)
        started = time.monotonic()
        pid = os.fork()
        if not pid:
            _child(request)
        with suppress(OSError):  # the child does the same; whoever comes first
            os.setpgid(pid, pid)
        limit = request["moment"].get("kill_after_seconds", DEADLINE_SECONDS)
        handle = os.pidfd_open(pid)
        if not select.select([handle], [], [], limit)[0]:
            os.killpg(pid, signal.SIGKILL)
        os.close(handle)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"status": status, "seconds": time.monotonic() - started}), flush=True)


def _child(request: dict[str, Any]) -> None:
    from pipeline.__main__ import main

    os.setpgid(0, 0)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    status: Any = 99
    try:
        _arm(**{name: value for name, value in request["moment"].items() if name != "kill_after_seconds"})
        main(request["argv"])
        status = 0
    except SystemExit as exit_:
        status = exit_.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def _arm(calls: tuple[str, ...] = (), nth: int = 0, when: str = "before") -> None:
    """Make the nth of these calls the moment of death, or that from which on the disk is full."""
    made = itertools.count(1)

    def armed(call: Callable[..., Any]) -> Callable[..., Any]:
        def at(*args: Any, **kwargs: Any) -> Any:
            number = next(made)
            if number == nth and when == "before":
                os.killpg(0, signal.SIGKILL)
            if number >= nth and when == "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            result = call(*args, **kwargs)
            if number == nth and when == "after":
                os.killpg(0, signal.SIGKILL)
            return result

        return at

    for name in calls:
        module, _, attribute = name.rpartition(".")
        setattr(sys.modules[module], attribute, armed(getattr(sys.modules[module], attribute)))


def command(*words: str, **kwargs: Any) -> subprocess.Popen[str]:
    """Start `python -m pipeline …`, `luigi …` or `luigid …` in the repository's folder, its output in one pipe."""
    program = [sys.executable, "-m", "pipeline"] if words[0] == "pipeline" else [str(BIN / words[0])]
    return subprocess.Popen(
        [*program, *words[1:]],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **kwargs,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process: its exit code and what it said."""
    try:
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"{process.args} did not end:\n{output}") from None
    return process.returncode, output


if __name__ == "__main__":
    serve()
    os._exit(0)  # what is frozen would be told as leaked
