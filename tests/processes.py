"""A shop with a lake, a reader of its files, and the pipeline as a process."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
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
DATA_FILE = re.compile(
    rf"(raw/{DATE}/orders_raw\.json)|((normalized|quarantine|curated)/({DATE}/)?[a-z_]+\.(parquet|keys))"
)
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
        elif not name.endswith(".keys"):
            json.loads(content)


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
