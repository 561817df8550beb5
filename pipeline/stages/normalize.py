"""NormalizeOrders: raw partitions typed, judged and deduplicated, one orders and one items file a date."""

import filecmp
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contract import DISCARDED, ITEMS, LOGIC_VERSION, NORMALIZED_STAGE, ORDERS, RAW_STAGE
from pipeline.engine import Engine
from pipeline.errors import CorruptPartition
from pipeline.events import emit
from pipeline.freshness import Intent, missing
from pipeline.parquet import write_table
from pipeline.records import Lines, bind_lines, same_instant, split_lines
from pipeline.stages.outcome import Outcome, corrupt
from pipeline.stages.spool import OpenEngine
from pipeline.storage import Lake, Manifest, Publication, partition

BATCH_BYTES = 48 << 20
WRITERS = 2
RAW_FILE = RAW_STAGE.files[0]
QUARANTINE_FILE = "orders.parquet"
BAD_DATE = (OSError, ValueError, duckdb.Error, pa.ArrowException)


@dataclass
class Normalized:
    """Rows of orders and items, ordered by date and key; the discarded records; counts by date."""

    orders: pa.Table
    items: pa.Table
    discarded: pa.Table
    counts: dict[str, dict[str, Any]]


def normalized(engine: Engine, lines: Lines, dates: pa.Array, extracted_at: pa.Array) -> Normalized:
    """Apply the contract to raw lines, each with the date it landed under (null: any) and when it was extracted.

    Lines of one date are adjacent. Without dates the lines are one partition.
    """
    record = _records(engine, lines, dates, extracted_at)
    stays = pc.is_null(record["reason"])
    day = pc.coalesce(record["partition_date"], pa.scalar(0, pa.date32()))
    version = record.select(["position", "order_id", "created_at", "updated_at"]).append_column("partition_date", day)
    engine.bind(version=version.filter(stays))
    engine.keep("superseded")
    kept = record.take(engine.query("kept")["position"])
    kept = kept.append_column("date", kept["created_at"].cast(pa.date32()))
    items = _items(kept)
    superseded = record.take(engine.query("superseded_here")["position"])
    discarded = _discarded(record.filter(pc.invert(stays)), lines, dates)
    return Normalized(kept, items, discarded, _counts(dates, kept, items, superseded, discarded))


def _records(engine: Engine, lines: Lines, dates: pa.Array, extracted_at: pa.Array) -> pa.Table:
    """The lines typed, in their order. An item without sku, qty and price may be no object: its record is read exactly."""
    exactly: list[int] = []
    while True:
        bind_lines(engine, lines, dates=dates, extracted_at=extracted_at, exactly=exactly)
        record = engine.query("record")
        if exactly or not (exactly := _shapeless(record)):
            return record.take(pc.sort_indices(record["position"])) if pc.any(record["exact"]).as_py() else record


def _shapeless(record: pa.Table) -> list[int]:
    items = record["items"].combine_chunks()
    fields = items.flatten()
    present = [fields.field(f"{name}_present") for name in ("sku", "qty", "price")]
    bare = pc.invert(pc.or_(pc.or_(present[0], present[1]), present[2]))
    if not pc.any(bare).as_py():
        return []
    rows = pc.list_parent_indices(items).filter(bare).unique()
    return sorted(row["position"] for row in record.take(rows).select(["position", "exact"]).to_pylist() if not row["exact"])


def _items(kept: pa.Table) -> pa.Table:
    """One row per order line, numbered from 1 in array order, in the order of kept."""
    lists = kept["items"].combine_chunks()
    order = pc.list_parent_indices(lists)
    size = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    number = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size) + 1
    fields = lists.flatten()
    columns = {name: kept[name].take(order) for name in ("order_id", "date")}
    columns["line_number"] = pa.array(number, pa.int32())
    columns |= {name: fields.field(name) for name in ("sku", "qty", "price", "sku_present", "price_present")}
    return pa.table(columns)


def _discarded(record: pa.Table, lines: Lines, dates: pa.Array) -> pa.Table:
    """The discarded records as they came, with their position in their date's raw file."""
    position = record["position"].to_numpy()
    day = dates.cast(pa.int32()).fill_null(0).to_numpy()
    starts = np.flatnonzero(np.diff(day, prepend=day[:1] - 1)) if len(day) else day
    start = starts[np.searchsorted(starts, position, side="right") - 1] if len(position) else position
    records = lines.array().take(record["position"]).cast(pa.binary())
    columns = {"position": position - start, "reason": record["reason"], "record": records}
    return pa.table(columns | {"date": record["partition_date"]})


def _counts(
    dates: pa.Array, kept: pa.Table, items: pa.Table, superseded: pa.Table, discarded: pa.Table
) -> dict[str, dict[str, Any]]:
    """By date: law 1's figures, lines, currencies, and how many values were not accepted."""
    counts: dict[str, dict[str, Any]] = {}

    def note(name: str, rows: pa.Array | pa.ChunkedArray) -> None:
        for row in rows.value_counts().to_pylist():
            counts.setdefault(str(row["values"]), {})[name] = row["counts"]

    note("extracted", dates)
    note("normalized", kept["date"])
    note("superseded_here", superseded["partition_date"])
    note("lines", items["date"])
    note("amount", kept.filter(pc.is_null(kept["amount"]))["date"])
    for name in ("user_id", "updated_at"):
        note(name, kept.filter(pc.and_(pc.is_null(kept[name]), kept[f"{name}_present"]))["date"])
    for name in ("sku", "price"):
        note(name, items.filter(pc.and_(pc.is_null(items[name]), items[f"{name}_present"]))["date"])
    note("qty", items.filter(pc.is_null(items["qty"]))["date"])
    note("price_absent", items.filter(pc.invert(items["price_present"]))["date"])
    for row in kept.filter(pc.greater(kept["dropped_items"], 0)).select(["date", "dropped_items"]).to_pylist():
        of_date = counts[str(row["date"])]
        of_date["dropped_items"] = of_date.get("dropped_items", 0) + row["dropped_items"]
    for row in kept.group_by("date").aggregate([("currency", "distinct")]).to_pylist():
        counts[str(row["date"])]["currencies"] = sorted(c for c in row["currency_distinct"] if c is not None)
    for row in discarded.select(["date", "reason"]).to_pylist():
        reasons = counts[str(row["date"])].setdefault("discarded", {})
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    return counts


def normalize(lake: Lake, dates: list[str], intent: Intent, open_engine: OpenEngine) -> None:
    """Publish the normalized partition of each date that is not complete. One bad date does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    if not any(missing(lake, NORMALIZED_STAGE, date, intent) for date in dates):
        return
    started = time.monotonic()
    outcome = Outcome(NORMALIZED_STAGE)
    with lake.locked():
        todo = {date: reason for date in dates if (reason := missing(lake, NORMALIZED_STAGE, date, intent))}
        with open_engine() as engine:
            build = _Build(lake, engine, intent, outcome, todo)
            build.stage()
            if build.publications:
                build.publish()
        outcome.close(lake, intent)
    counts = [publication.body["counts"] for publication in build.publications.values()]
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

    lake: Lake
    engine: Engine
    intent: Intent
    outcome: Outcome
    because: dict[str, str]
    publications: dict[str, Publication] = field(default_factory=dict)

    def stage(self) -> None:
        """Write every date's files where they can be published from; a batch is written while the next one is made."""
        with ThreadPoolExecutor(WRITERS) as writers:
            pending: dict[str, Future[Publication]] = {}
            for batch in self._batches():
                made = self._stage_batch(batch, writers)
                self._finish(pending)
                pending = made
            self._finish(pending)

    def _finish(self, pending: dict[str, Future[Publication]]) -> None:
        for date, future in pending.items():
            try:
                self.publications[date] = future.result()
            except BAD_DATE as error:
                self.outcome.fail(date, error)

    def _batches(self) -> Iterator[dict[str, bytes]]:
        """Raw files by date, checked against their manifests, in batches that bound the memory."""
        batch: dict[str, bytes] = {}
        for date in sorted(self.because):
            try:
                batch[date] = self._raw(date)
            except (*BAD_DATE, CorruptPartition) as error:
                self.outcome.fail(date, error)
            if sum(map(len, batch.values())) >= BATCH_BYTES:
                yield batch
                batch = {}
        if batch:
            yield batch

    def _raw(self, date: str) -> bytes:
        name = partition("raw", date, RAW_FILE)
        data = Path(self.lake.path(name)).read_bytes()
        manifest = self.lake.manifest(RAW_STAGE, date) or {}
        if not str(manifest.get("id")).startswith(hashlib.sha256(data).hexdigest()):
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
            date: writers.submit(self._write, date, *(table.get(date) for table in tables), rows.counts.get(date, {}))
            for date in batch
        }

    def _normalized(self, batch: dict[str, bytes]) -> Normalized:
        lines = split_lines(b"".join(batch.values()))
        sizes = [data.count(b"\n") for data in batch.values()]
        days = np.array(list(batch), "datetime64[D]")
        stamps = [(self.lake.manifest(RAW_STAGE, date) or {})["extracted_at"][:-1] for date in batch]
        return normalized(
            self.engine,
            lines,
            pa.array(np.repeat(days, sizes)),
            pa.array(np.repeat(np.array(stamps, "datetime64[us]"), sizes)),
        )

    def _write(
        self,
        date: str,
        orders: pa.Table | None,
        items: pa.Table | None,
        discarded: pa.Table | None,
        counts: dict[str, Any],
    ) -> Publication:
        """Stage one date's files. Without rows, orders and items are files with none and there is no quarantine."""
        quarantine = partition("quarantine", date, QUARANTINE_FILE)
        publication = Publication(
            partition("normalized", date, NORMALIZED_STAGE.manifest), self._body(date, counts), {quarantine: None}
        )
        rows = {
            partition("normalized", date, ORDERS.file): (ORDERS, orders or ORDERS.schema.empty_table()),
            partition("normalized", date, ITEMS.file): (ITEMS, items or ITEMS.schema.empty_table()),
        }
        if discarded is not None:
            rows[quarantine] = (DISCARDED, discarded)
        for name, (table, part) in rows.items():
            write_table(table, part, self.lake.stage(name))
            publication.staged[name] = self.lake.stage(name)
        return publication

    def _body(self, date: str, counts: dict[str, Any]) -> Manifest:
        manifest = self.lake.manifest(NORMALIZED_STAGE, date) or {}
        none = {"extracted": 0, "normalized": 0, "superseded_here": 0, "discarded": {}, "lines": 0, "currencies": []}
        return {
            "made_from": (self.lake.manifest(RAW_STAGE, date) or {})["id"],
            "as_of": self.intent.stamp,
            "because": self.because[date],
            "logic_version": LOGIC_VERSION,
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
            body["generation"] += date in touched
            body["id"] = normalized_id(body)
        self._touch({date for date in touched if date not in self.publications}, shared)
        self.outcome.fail_all(self.lake.publish(list(self.publications.values())))

    def _shared(self) -> dict[str, set[str]]:
        """For each date being built, the partitions that share an order_id with its rows, new or as published."""
        built = {date: self.lake.stage(partition("normalized", date, ORDERS.file)) for date in self.publications}
        shared: dict[str, set[str]] = {date: set() for date in built}
        others = {}
        for date in self.lake.partitions("normalized"):
            manifest = self.lake.manifest(NORMALIZED_STAGE, date) or {}
            for neighbour in manifest.get("neighbours", []):
                if date in shared:
                    shared[date].add(neighbour)
                if neighbour in shared:
                    shared[neighbour].add(date)
            if date not in built and self.lake.whole(manifest):
                others[date] = self.lake.path(partition("normalized", date, ORDERS.file))
        files = {"all_files": [*built.values(), *others.values()], "built_files": list(built.values())}
        for row in self.engine.query("shared_order", files).to_pylist():
            shared[str(row["date"])].add(str(row["neighbour"]))
        return shared

    def _changes_versions(self, date: str) -> bool:
        name = partition("normalized", date, ORDERS.file)
        return not (
            self.lake.whole(self.lake.manifest(NORMALIZED_STAGE, date))
            and filecmp.cmp(self.lake.stage(name), self.lake.path(name), shallow=False)
        )

    def _touch(self, dates: set[str], shared: dict[str, set[str]]) -> None:
        """Give neighbours that are not built now a new id, so that what was curated from them is stale."""
        for date in sorted(dates):
            manifest = self.lake.manifest(NORMALIZED_STAGE, date)
            if manifest is None or manifest.get("id") is None:
                continue
            sharing = {other for other, neighbours in shared.items() if date in neighbours}
            body = manifest | {
                "generation": manifest["generation"] + 1,
                "neighbours": sorted(sharing.union(manifest["neighbours"])),
            }
            name = partition("normalized", date, NORMALIZED_STAGE.manifest)
            self.lake.write(name, body | {"id": normalized_id(body)})
        self.lake.sync_folders([partition("normalized", date, NORMALIZED_STAGE.manifest) for date in dates])


def normalized_id(body: Manifest) -> str:
    """What curated partitions name as their source: it changes with the raw id, the logic and the generation."""
    source = f"{body['made_from']} {body['logic_version']} {body['generation']}"
    return hashlib.sha256(source.encode()).hexdigest()


def by_date(rows: pa.Table) -> dict[str, pa.Table]:
    """The rows of each date of a table that is ordered by date."""
    days = rows["date"].cast(pa.int32()).to_numpy()
    assert (days[1:] >= days[:-1]).all(), "rows out of order"
    found, firsts = np.unique(days, return_index=True)
    lasts = [*firsts[1:], len(days)] if len(days) else []
    return {
        str(np.datetime64(int(day), "D")): rows.slice(first, last - first)
        for day, first, last in zip(found, firsts, lasts, strict=True)
    }


def discards_of_file(engine: Engine, raw: str, extracted_at: datetime, target: str) -> dict[str, int]:
    """Quarantine every record of an undated raw file; how many for each reason. Writes nothing when there are none."""
    reasons: dict[str, int] = {}
    with open(raw, "rb") as file:
        pieces: list[pa.Table] = []
        while block := file.read(BATCH_BYTES):
            lines = split_lines(block + file.readline())
            rows = normalized(
                engine, lines, pa.nulls(lines.size, pa.date32()), same_instant(extracted_at, lines.size)
            )
            pieces.append(rows.discarded)
            for reason in rows.discarded["reason"].to_pylist():
                reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        write_table(DISCARDED, pa.concat_tables(pieces), target)
    return reasons
