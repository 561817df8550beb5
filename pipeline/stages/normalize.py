"""NormalizeOrders: raw partitions typed, judged and deduplicated, one orders and one items file a date."""

import filecmp
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.contract import DISCARDED, ITEMS, LOGIC_VERSION, NORMALIZED_STAGE, ORDERS, QUARANTINE_FILE, RAW_STAGE
from pipeline.engine.connection import BAD_DATE, Engine, EngineError
from pipeline.engine.lines import split_lines
from pipeline.engine.normalizing import Normalized, by_date, normalized
from pipeline.errors import CorruptPartition
from pipeline.events import emit
from pipeline.fields import FieldMap
from pipeline.lake.files import Manifest, Publication, partition
from pipeline.lake.freshness import STALE, answers_as_of, missing
from pipeline.lake.manifests import is_raw
from pipeline.lake.outcome import Outcome, corrupt
from pipeline.lake.parquet import write_table
from pipeline.lake.run import Run
from pipeline.observe.rotten import disown_rotten
from pipeline.prefetching import prefetched
from pipeline.sources.raw import Shape, fields_of
from pipeline.stages.staging import staged

BATCH_BYTES = 24 << 20
RAW_FILE = RAW_STAGE.files[0]


def normalize(run: Run, dates: list[str], shape: Shape) -> None:
    """Publish the normalized partition of each date that is not complete. One bad date does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    if not any(missing(run.lake, NORMALIZED_STAGE, date, run.intent) for date in dates):
        return
    started = time.monotonic()
    outcome = Outcome(NORMALIZED_STAGE)
    with run.lake.locked():
        todo = {date: reason for date in dates if (reason := missing(run.lake, NORMALIZED_STAGE, date, run.intent))}
        with run.open_engine() as engine:
            build = _Build(run, engine, outcome, todo, shape)
            build.stage()
            if build.publications:
                build.publish()
        outcome.close(run.lake, run.intent)
    counts = [publication.body["counts"] for publication in build.publications.values()]
    reasons = sum((Counter(count["discarded"]) for count in counts), Counter())
    for date, publication in build.publications.items():
        outside = publication.body["counts"]["discarded"].get("outside_window")
        if outside:
            emit("outside_window", level=logging.WARNING, date=date, records=outside)
    if reasons:
        emit("discarded", partitions=sum(bool(count["discarded"]) for count in counts), **reasons)
    emit(
        "written",
        stage="normalized",
        partitions=len(counts),
        orders=sum(count["normalized"] for count in counts),
        superseded=sum(count["superseded_here"] for count in counts),
        discarded=sum(sum(count["discarded"].values()) for count in counts),
        seconds=time.monotonic() - started,
    )


@dataclass
class _Build:
    """One pass over the dates to build: everything is staged first, then published under one view of the lake."""

    run: Run
    engine: Engine
    outcome: Outcome
    because: dict[str, str]
    shape: Shape
    publications: dict[str, Publication] = field(default_factory=dict)

    def stage(self) -> None:
        """Write every date's files where they can be published from; a batch is written while the next one is made."""
        self.publications = staged(
            "normalizing dates", len(self.because), prefetched(self._batches()), self._stage_batch, self.outcome
        )

    def _batches(self) -> Iterator[dict[str, bytes]]:
        """Raw files by date, checked against their manifests, in batches that bound the memory and share a shape."""
        batch: dict[str, bytes] = {}
        for date in sorted(self.because):
            if batch and self._logic(date) != self._logic(next(iter(batch))):
                yield batch
                batch = {}
            try:
                batch[date] = self._raw(date)
            except (*BAD_DATE, CorruptPartition) as error:
                self.outcome.fail(date, error)
            if sum(map(len, batch.values())) >= BATCH_BYTES:
                yield batch
                batch = {}
        if batch:
            yield batch

    def _fields(self, date: str) -> FieldMap | None:
        return fields_of(self.run.lake.manifest(RAW_STAGE, date) or {}, self.shape)

    def _logic(self, date: str) -> int | str:
        """What, beside the raw bytes, decides the rows: the version of the SQL, and the map of the fields if any."""
        fields = self._fields(date)
        return LOGIC_VERSION if fields is None else f"{LOGIC_VERSION}-{fields.digest}"

    def _raw(self, date: str) -> bytes:
        name = partition("raw", date, RAW_FILE)
        data = Path(self.run.lake.path(name)).read_bytes()
        manifest = self.run.lake.manifest(RAW_STAGE, date) or {}
        if not is_raw(str(manifest.get("id")), data):
            raise corrupt(name, "its bytes are not those that were landed")
        return data

    def _stage_batch(self, batch: dict[str, bytes], writers: ThreadPoolExecutor) -> dict[str, Future[Publication]]:
        try:
            rows = self._normalized(batch)
        except BAD_DATE as error:
            if len(batch) == 1:
                self.outcome.fail(next(iter(batch)), error)
                return {}
            alone = [self._stage_batch({date: data}, writers) for date, data in batch.items()]
            return {date: future for made in alone for date, future in made.items()}
        tables = (by_date(rows.orders), by_date(rows.items), by_date(rows.discarded))
        return {
            date: writers.submit(self._write, date, [table.get(date) for table in tables], rows.counts.get(date, {}))
            for date in batch
        }

    def _normalized(self, batch: dict[str, bytes]) -> Normalized:
        lines = split_lines(b"".join(batch.values()))
        sizes = np.diff(np.searchsorted(lines.ends, np.cumsum([0, *map(len, batch.values())]), side="right"))
        days = np.array(list(batch), "datetime64[D]")
        manifests = [self.run.lake.manifest(RAW_STAGE, date) or {} for date in batch]
        stamps = [answers_as_of(manifest)[:-1] for manifest in manifests]
        return normalized(
            self.engine,
            lines,
            pa.array(np.repeat(days, sizes)),
            pa.array(np.repeat(np.array(stamps, "datetime64[us]"), sizes)),
            self._fields(next(iter(batch))),
            known_plain=all(manifest.get("plain_by") == LOGIC_VERSION for manifest in manifests),
        )

    def _write(
        self,
        date: str,
        rows: list[pa.Table | None],
        counts: dict[str, Any],
    ) -> Publication:
        """Stage one date's files. Without rows, orders and items are files with none and there is no quarantine."""
        orders, items, discarded = rows
        quarantine = partition("quarantine", date, QUARANTINE_FILE)
        publication = Publication(
            partition("normalized", date, NORMALIZED_STAGE.manifest), self._body(date, counts), {quarantine: None}
        )
        files = {
            partition("normalized", date, ORDERS.file): (ORDERS, orders or ORDERS.schema.empty_table()),
            partition("normalized", date, ITEMS.file): (ITEMS, items or ITEMS.schema.empty_table()),
        }
        if discarded is not None:
            files[quarantine] = (DISCARDED, discarded)
        for name, (table, part) in files.items():
            write_table(table, part, self.run.lake.stage(name))
            publication.staged[name] = self.run.lake.stage(name)
        return publication

    def _body(self, date: str, counts: dict[str, Any]) -> Manifest:
        manifest = self.run.lake.manifest(NORMALIZED_STAGE, date) or {}
        none = {"extracted": 0, "normalized": 0, "superseded_here": 0, "discarded": {}, "lines": 0, "currencies": []}
        return {
            "made_from": (self.run.lake.manifest(RAW_STAGE, date) or {})["id"],
            "as_of": self.run.intent.stamp,
            "because": self.because[date],
            "logic_version": self._logic(date),
            "generation": manifest.get("generation") or time.time_ns(),
            "counts": none | counts,
        }

    def publish(self) -> None:
        """Publish what is staged. Partitions that share an order with a changed one become stale first."""
        shared = self._shared()
        changed = {date for date in self.publications if self._changes_versions(date)}
        touched = {neighbour for date in changed for neighbour in shared.get(date, set())}
        for date, publication in self.publications.items():
            body = publication.body
            body["neighbours"] = sorted(shared.get(date, set()))
            body["generation"] += date in touched or date in changed
            body["id"] = normalized_id(body)
        self.run.lake.write(STALE, {"as_of": self.run.intent.stamp})
        self.run.lake.sync_folders([STALE])
        self._touch({date for date in touched if date not in self.publications}, shared)
        self.outcome.fail_all(self.run.lake.publish(list(self.publications.values())))

    def _shared(self) -> dict[str, set[str]]:
        """For each date being built, the partitions that share an order_id with its rows, new or as published."""
        built = {date: self.run.lake.stage(partition("normalized", date, ORDERS.file)) for date in self.publications}
        shared: dict[str, set[str]] = {date: set() for date in built}
        others = {}
        for date in self.run.lake.partitions("normalized"):
            manifest = self.run.lake.manifest(NORMALIZED_STAGE, date) or {}
            for neighbour in manifest.get("neighbours", []):
                if date in shared:
                    shared[date].add(neighbour)
                if neighbour in shared:
                    shared[neighbour].add(date)
            if date not in built and self.run.lake.whole(manifest):
                others[date] = self.run.lake.path(partition("normalized", date, ORDERS.file))
        for row in self._sharing(built, others).to_pylist():
            shared[str(row["date"])].add(str(row["neighbour"]))
        return shared

    def _sharing(self, built: dict[str, str], others: dict[str, str]) -> pa.Table:
        """The rows of shared_order. Partitions that cannot be read fail and are left out."""
        try:
            self.engine.register_files(ORDERS, [*built.values(), *others.values()])
            self.engine.register_files(ORDERS, built.values(), "built_orders")
            return self.engine.query("shared_order")
        except EngineError:
            rotten = disown_rotten(self.run.lake, NORMALIZED_STAGE, others)
            if not rotten:
                raise
            self.outcome.failed |= rotten
            return self._sharing(built, {date: path for date, path in others.items() if date not in rotten})

    def _changes_versions(self, date: str) -> bool:
        name = partition("normalized", date, ORDERS.file)
        return not (
            self.run.lake.whole(self.run.lake.manifest(NORMALIZED_STAGE, date))
            and filecmp.cmp(self.run.lake.stage(name), self.run.lake.path(name), shallow=False)
        )

    def _touch(self, dates: set[str], shared: dict[str, set[str]]) -> None:
        """Give neighbours that are not built now a new id, so that what was curated from them is stale."""
        for date in sorted(dates):
            manifest = self.run.lake.manifest(NORMALIZED_STAGE, date)
            if manifest is None or manifest.get("id") is None:
                continue
            sharing = {other for other, neighbours in shared.items() if date in neighbours}
            body = manifest | {
                "generation": manifest["generation"] + 1,
                "neighbours": sorted(sharing.union(manifest["neighbours"])),
            }
            name = partition("normalized", date, NORMALIZED_STAGE.manifest)
            self.run.lake.write(name, body | {"id": normalized_id(body)})
        self.run.lake.sync_folders([partition("normalized", date, NORMALIZED_STAGE.manifest) for date in dates])


def normalized_id(body: Manifest) -> str:
    """What curated partitions name as their source: it changes with the raw id, the logic and the generation."""
    source = f"{body['made_from']} {body['logic_version']} {body['generation']}"
    return hashlib.sha256(source.encode()).hexdigest()
