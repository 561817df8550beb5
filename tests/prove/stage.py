"""A scene that is set: it can be played again and again, disturbed each time, and the lake is looked at afterwards."""

import hashlib
import json
import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api import QUICK, mock_api
from forks import Forker
from operations import WATCH, Operation, logged
from processes import MANIFEST, Reader, Snapshot
from scenes import Scene
from trials import LATER, SECOND, Trial, dated

from pipeline.lake import is_id_of

# a date that no command of a scene is about
OTHER_DATE = ("luigi", "WriteFactOrder", "--date", "2025-01-18")
MEANWHILE, NEXT, AGAIN, AT_LAST = (f"2025-02-{day:02}" for day in (3, 4, 5, 6))
# of luigi.cfg
RETCODES = (10, 20, 25, 30, 35, 40)
TASK_FAILED = 30
# why a date that shares no order with another date may still have to wait for it
BLOCKED = "was not written, since these orders could end up in both; run `luigi"
OF_DUCKDB = "fsync failed!"  # it does not say why
FAILED = {"full": "No space left on device", "error": "Input/output error"}


class Findings:
    """What was wrong after trials: how often, by kind, and the texts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.texts: list[str] = []

    def add(self, kind: str, where: str, what: object) -> None:
        self.counts[kind] += 1
        self.texts.append(f"{kind}: {where}: {what}")

    def raise_any(self) -> None:
        """Fail the test, with the texts of the first ones."""
        if self.texts:
            pytest.fail("\n\n".join([f"{len(self.texts)} found", *self.texts[:10]]), pytrace=False)


class Stage:
    """A scene in one folder: the lake before the command, the operations of the command, and the lake afterwards."""

    def __init__(self, scene: Scene, folder: Path, forker: Forker, stack: ExitStack, **settings: Any) -> None:
        self.scene, self.folder = scene, folder
        self.trial = Trial(folder, forker, run_dates_per_task=31, **scene.settings, **settings)
        scene.prepare(self.trial)
        if scene.is_over_rest:
            api = stack.enter_context(mock_api(self.trial.shop.dump))
            quick = {f"orders_api_{name}": value for name, value in QUICK.items()}
            self.trial.shop.settings |= {"orders_api_url": api.url, **quick}
        self.log, self.graves = folder / "operations", folder / "graves"
        self.before = Snapshot(self.trial.shop, folder / "before")
        self.old_raw = self.trial.shop.data("raw")
        self.at_first = self.trial.seen() if scene.is_one_step else None
        ended = self.play(WATCH, 0)
        assert ended["status"] == 0, ended["output"]
        self.operations, self.at_once = logged(self.log), self.trial.seen()
        self.trial.finish(LATER, *scene.plain_run[1:])
        self.undisturbed, self.new_raw = self.trial.seen(), self.trial.shop.data("raw")

    def play(self, action: int, number: int) -> dict[str, Any]:
        """The command, disturbed by this action at its operation of that number."""
        self.log.unlink(missing_ok=True)
        if self.graves.exists():
            for grave in self.graves.iterdir():
                grave.unlink()
        self.graves.mkdir(exist_ok=True)
        operations = (str(self.trial.shop.folder), action, number, str(self.log), str(self.graves))
        return self.trial.command(*self.scene.command, as_of=SECOND, operations=operations)

    def look(self, found: Findings, where: str) -> None:
        """What readers see: each published file is whole, and so is each partition whose manifest has an id."""
        reader = Reader(self.trial.shop.root)
        reader.sweep()
        for torn in reader.torn:
            found.add("torn", where, torn)
        self.look_at_partitions(found, where)

    def look_at_partitions(self, found: Findings, where: str) -> None:
        """What a manifest with an id promises is there. After a power cut other files may be torn: they are redone."""
        for torn in self.torn_partitions():
            found.add("torn", where, torn)

    def torn_partitions(self) -> list[str]:
        """The files that a manifest with an id promises, and that are not so."""
        root, torn = self.trial.shop.root, []
        for path in sorted(root.rglob("_*.json")):
            if not MANIFEST.fullmatch(str(path.relative_to(root))):
                continue
            try:
                manifest = json.loads(path.read_bytes())
            except ValueError:
                continue  # counts as absent
            if manifest.get("id"):
                torn += [name for name, size in manifest.get("files", {}).items() if not self._is(name, size, manifest)]
        return torn

    def _is(self, name: str, size: int, manifest: dict[str, Any]) -> bool:
        path = self.trial.shop.root / name
        try:
            content = path.read_bytes()
            if name.endswith(".parquet"):
                pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
            published = manifest.get("hashes", {}).get(name, manifest["id"])
            if not name.endswith(".parquet") and not is_id_of(published, hashlib.sha256(content).hexdigest()):
                return False
        except (OSError, pa.ArrowException):
            return False
        return len(content) == size

    def doubled(self) -> list[str]:
        """The orders that are in two curated partitions."""
        places: dict[str, set[str]] = {}
        for path in sorted(self.trial.shop.root.glob("curated/date=*/fact_order.parquet")):
            for order in pq.ParquetFile(path).read(["order_id"], use_threads=False)["order_id"].to_pylist():
                places.setdefault(order, set()).add(path.parent.name)
        return [f"{order} in {', '.join(sorted(dates))}" for order, dates in places.items() if len(dates) > 1]

    def other_date(self, found: Findings, where: str, draw: random.Random) -> None:
        """Somebody builds another date meanwhile. That may fail because of a date that the killed command left."""
        ended = self.trial.command(*OTHER_DATE, *(["--force"] * draw.randrange(2)), as_of=MEANWHILE)
        if ended["status"] and not (BLOCKED in ended["output"] and ended["status"] == TASK_FAILED):
            found.add("hung" if ended["hung"] else "lost", where, f"the other date failed: {ended['output']}")
        for order in self.doubled():
            found.add("doubled", where, order)

    def judge_end(self, found: Findings, where: str, ended: dict[str, Any], reason: str) -> None:
        """A command that met a bad disk ends by itself: it says why it has failed, or it has done its work."""
        if ended["hung"]:
            found.add("hung", where, ended["output"])
        elif "Traceback" in ended["output"] or ended["status"] not in (0, 1, *RETCODES):
            found.add("torn", where, f"exit code {ended['status']}: {ended['output']}")
        elif ended["status"] and reason not in ended["output"] and OF_DUCKDB not in ended["output"]:
            found.add("torn", where, f"no reason: {ended['output']}")
        elif not ended["status"] and self.trial.seen() != self.at_once:
            found.add("lost", where, f"succeeded, but not with its work done: {ended['output']}")

    def heal(self, found: Findings, where: str, *, is_done: bool) -> None:
        """The next plain run, and the command again if no run repeats it: then the lake is as if nothing had been."""
        if is_done or not self.scene.is_repeated:
            self._succeed(found, where, *self.scene.plain_run, as_of=NEXT)
        else:
            self._succeed(found, where, *self.scene.plain_run, as_of=NEXT, excuse=self.scene.excuse)
            if self.scene.is_one_step and self.trial.seen() not in (self.at_first, self.undisturbed):
                found.add("lost", where, "neither as before nor as afterwards")
            self._succeed(found, where, *self.scene.command, as_of=AGAIN)
            self._succeed(found, where, *self.scene.plain_run, as_of=AT_LAST)
        if self.scene.depends_on_raw:
            self._compare_with_raw(found, where)
        else:
            self._compare(found, where)
        if litter := self.trial.shop.litter():
            found.add("torn", where, f"litter: {litter}")
        for order in self.doubled():
            found.add("doubled", where, order)

    def _succeed(self, found: Findings, where: str, *words: str, as_of: str, excuse: str | None = None) -> None:
        """A command that has to succeed, or to name the excuse for which it need not."""
        ended = self.trial.command(*words, as_of=as_of)
        if ended["status"] and (excuse is None or excuse not in ended["output"]):
            found.add("hung" if ended["hung"] else "lost", where, f"{words[0]} failed: {ended['output']}")

    def _compare_with_raw(self, found: Findings, where: str) -> None:
        shop = self.trial.shop
        known = (self.old_raw.items(), self.new_raw.items())
        wrong = [name for name, raw in shop.data("raw").items() if all((name, raw) not in items for items in known)]
        if wrong:
            found.add("lost", where, f"neither old nor new: {wrong}")
        if dated(shop.data("normalized", "curated", "quarantine")) != self.trial.derived_from_raw():
            found.add("lost", where, "not what the raw partitions say")

    def _compare(self, found: Findings, where: str) -> None:
        try:
            seen = self.trial.seen()
        except duckdb.Error as error:
            found.add("torn", where, error)
            return
        pairs = zip(seen, self.undisturbed, strict=True)
        others = sorted(name for now, then in pairs for name in {**now, **then} if now.get(name) != then.get(name))
        if others:
            found.add("lost", where, f"not as in the undisturbed lake: {others}")

    def moment(self, action: str, operation: Operation) -> str:
        """For messages: which operation of which command."""
        folder = f"{self.trial.shop.folder}/"
        paths = " to ".join(path.removeprefix(folder) for path in (operation.path, operation.other) if path)
        return f"{self.scene.name}: {action} at operation {operation.number}, {operation.kind} {paths}"
