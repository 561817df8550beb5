"""WriteFactOrder and WriteOrderItems: normalized partitions without orders that another one has in a later version."""

import logging
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.contract import (
    CURATED_STAGES,
    FACT_ORDER,
    FACT_ORDER_STAGE,
    ITEMS,
    NORMALIZED_STAGE,
    ORDER_ITEMS,
    ORDER_ITEMS_STAGE,
    ORDERS,
    Stage,
    Table,
)
from pipeline.engine.connection import BAD_DATE, Engine, EngineError
from pipeline.engine.facts import fact_order
from pipeline.engine.normalizing import by_date
from pipeline.errors import CorruptPartition
from pipeline.events import emit
from pipeline.lake.files import Lake, Publication, partition
from pipeline.lake.freshness import STALE, may_be_stale, missing, stale
from pipeline.lake.outcome import Outcome
from pipeline.lake.parquet import write_table
from pipeline.lake.run import Run
from pipeline.observe.rotten import disown_rotten
from pipeline.stages.publishing_order import publishing_order
from pipeline.stages.staging import staged
from pipeline.stages.unsound import doubled, held_back, unsound

BATCH_BYTES = 16 << 20

Jobs = dict[str, dict[Stage, str]]


def curate(run: Run, stage: Stage, dates: list[str]) -> None:
    """Publish the stage of each date that is not complete, and both tables of every stale partition of the lake.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    if not _due(run, stage, dates):
        return
    started = time.monotonic()
    outcome = Outcome(stage)
    with run.lake.locked():
        with run.open_engine() as engine:
            build = _Build(run, engine, outcome, _jobs(run, stage, dates))
            build.stage()
            build.drop_held_back()
            outcome.fail_all(run.lake.publish(build.in_order()))
            for date, error in doubled(run.lake, engine).items():
                outcome.fail(date, error)
        if not outcome.failed:
            _settle(run.lake)
        outcome.close(run.lake, run.intent)
    build.report(time.monotonic() - started)


def _settle(lake: Lake) -> None:
    """Take the stale mark away, or let it wait for partitions that are not whole: their orders may have moved."""
    if not lake.has(STALE):
        return
    waits_for = unsound(lake)
    if waits_for:
        lake.write(STALE, {"waits_for": waits_for})
    else:
        lake.remove(STALE)


def curate_stale(run: Run) -> None:
    """Publish both tables of every stale partition of the lake, if an order may be in two of them. Raises as curate."""
    if may_be_stale(run.lake):
        curate(run, FACT_ORDER_STAGE, [])


def _due(run: Run, stage: Stage, dates: list[str]) -> bool:
    return may_be_stale(run.lake) or any(missing(run.lake, stage, date, run.intent) for date in dates)


def _jobs(run: Run, stage: Stage, dates: list[str]) -> Jobs:
    jobs: Jobs = {}
    for date in dates:
        reason = missing(run.lake, stage, date, run.intent)
        if reason is not None:
            jobs[date] = {stage: reason}
    for date in run.lake.partitions("normalized"):
        if run.lake.whole(run.lake.manifest(NORMALIZED_STAGE, date)):
            for table in CURATED_STAGES:
                reason = stale(run.lake, table, date)
                if reason is not None:
                    jobs.setdefault(date, {}).setdefault(table, reason)
    return jobs


@dataclass
class _Build:
    """One pass over the partitions to curate: staged first, then published, those that lose orders first."""

    run: Run
    engine: Engine
    outcome: Outcome
    jobs: Jobs
    publications: dict[str, list[Publication]] = field(default_factory=dict)
    losers: dict[str, pa.Table] = field(default_factory=dict)
    winners: dict[str, set[str]] = field(default_factory=dict)
    # whether a normalized partition turned out to be unreadable
    is_less: bool = False

    def stage(self) -> None:
        """Write every file where it can be published from; a batch is written while the next one is made."""
        self._find_losers()
        self.publications = staged("curating dates", len(self.jobs), self._batches(), self._stage_batch, self.outcome)

    def drop_held_back(self) -> None:
        """Publish nothing of a date that shares orders with a partition which turned out not to be whole meanwhile."""
        failed = sorted(self.outcome.failed)
        if not self._disown_rotten(failed) and not self.is_less:
            return
        for date, error in held_back(self.run.lake, self.engine, sorted(self.publications)).items():
            self.outcome.fail(date, error)
            del self.publications[date]

    def _find_losers(self) -> None:
        """Only partitions that share an order, as normalizing has noted, can hold one in different versions."""
        self._refuse_unsound()
        sharing = {date for date in self.jobs if self._manifest(date)["neighbours"]}
        among = sharing.union(*(self._manifest(date)["neighbours"] for date in sharing))
        dates = [date for date in sorted(among) if self._is_whole(date)]
        if not dates:
            return
        try:
            self._register(ORDERS, dates)
            self.engine.keep("key")
        except EngineError:
            if not self._disown_rotten(dates):
                raise
            return self._find_losers()
        self.engine.keep("loser")
        self.losers = by_date(self.engine.query("losers"))
        for date, rows in self.losers.items():
            self.winners[date] = {str(day) for day in rows["winner"].unique().to_pylist()}

    def _refuse_unsound(self) -> None:
        """Fail the dates that may share an order with a partition that is not whole."""
        dates = sorted(self.jobs)
        try:
            refused = held_back(self.run.lake, self.engine, dates)
        except EngineError:
            if not self._disown_rotten(dates):
                raise
            return self._refuse_unsound()
        for date, error in refused.items():
            self._fail(date, error)

    def _disown_rotten(self, dates: list[str]) -> bool:
        """Whether normalized partitions among these could not be read; their dates have failed then."""
        rotten = disown_rotten(self.run.lake, NORMALIZED_STAGE, dates)
        for date, error in rotten.items():
            self._fail(date, error, at_fault=NORMALIZED_STAGE)
            self.publications.pop(date, None)
        self.is_less = self.is_less or bool(rotten)
        return bool(rotten)

    def _fail(self, date: str, error: CorruptPartition, *, at_fault: Stage | None = None) -> None:
        self.outcome.fail(date, error, at_fault=at_fault)
        self.jobs.pop(date, None)

    def _is_whole(self, date: str) -> bool:
        return self.run.lake.whole(self.run.lake.manifest(NORMALIZED_STAGE, date))

    def _manifest(self, date: str) -> dict[str, Any]:
        return self.run.lake.manifest(NORMALIZED_STAGE, date) or {"neighbours": [], "id": None, "counts": {}}

    def _register(self, table: Table, dates: list[str]) -> None:
        self.engine.register_files(table, self.run.lake.table_paths(table, dates))

    def _file(self, date: str, file: str) -> str:
        return self.run.lake.path(partition("normalized", date, file))

    def _batches(self) -> Iterator[list[str]]:
        batch: list[str] = []
        size = 0
        for date in sorted(self.jobs):
            batch.append(date)
            size += sum(self._manifest(date).get("files", {}).values())
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _stage_batch(self, dates: list[str], writers: ThreadPoolExecutor) -> dict[str, Future[list[Publication]]]:
        try:
            facts, items = self._rows([date for date in dates if FACT_ORDER_STAGE in self.jobs[date]])
        except (*BAD_DATE, CorruptPartition) as error:
            if len(dates) > 1:
                alone = [self._stage_batch([date], writers) for date in dates]
                return {date: future for made in alone for date, future in made.items()}
            if self._disown_rotten(dates):
                return {}
            self.outcome.fail(dates[0], error)
            del self.jobs[dates[0]][FACT_ORDER_STAGE]
            facts, items = {}, {}
        return {date: writers.submit(self._write, date, facts.get(date), items.get(date)) for date in dates}

    def _rows(self, dates: list[str]) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
        """The rows of fact_order, and the order lines that they are made from, by date."""
        if not dates:
            return {}, {}
        self._register(ORDERS, dates)
        self._register(ITEMS, dates)
        headers = self._kept(self.engine.query("order_header"))
        lines = self._kept(self.engine.query("order_line"))
        return by_date(fact_order(headers, lines)), by_date(lines)

    def _kept(self, rows: pa.Table) -> pa.Table:
        """The rows, ordered by date, without the orders that their date loses."""
        parts = by_date(rows)
        if not parts.keys() & self.losers.keys():
            return rows
        return pa.concat_tables([self._kept_of_date(date, part) for date, part in parts.items()])

    def _kept_of_date(self, date: str, rows: pa.Table) -> pa.Table:
        if date not in self.losers:
            return rows
        gone = self.losers[date]["order_id"].combine_chunks()
        return rows.filter(pc.invert(pc.is_in(rows["order_id"], value_set=gone)))

    def _write(self, date: str, facts: pa.Table | None, items: pa.Table | None) -> list[Publication]:
        publications = []
        if FACT_ORDER_STAGE in self.jobs[date]:
            facts = facts if facts is not None else FACT_ORDER.schema.empty_table()
            publication = self._publication(FACT_ORDER_STAGE, date, facts.num_rows)
            write_table(FACT_ORDER, facts, self.run.lake.stage(partition("curated", date, FACT_ORDER.file)))
            publications.append(publication)
        if ORDER_ITEMS_STAGE in self.jobs[date]:
            publications.append(self._write_order_items(date, items))
        return publications

    def _write_order_items(self, date: str, items: pa.Table | None) -> Publication:
        """Without orders to leave out, the normalized items are the curated ones to the byte, so they are copied.

        The items are read here, unless they have been for fact_order: a file that cannot be read is not copied.
        """
        target = self.run.lake.stage(partition("curated", date, ORDER_ITEMS.file))
        source = self._file(date, ITEMS.file)
        if items is None:
            items = self._kept_of_date(date, pq.read_table(source, partitioning=None))
        if date not in self.losers:
            shutil.copyfile(source, target)
            return self._publication(ORDER_ITEMS_STAGE, date, self._manifest(date)["counts"]["lines"])
        write_table(ORDER_ITEMS, items, target)
        return self._publication(ORDER_ITEMS_STAGE, date, items.num_rows)

    def _publication(self, stage: Stage, date: str, rows: int) -> Publication:
        upstream = self._manifest(date)
        gone = self._superseded(date)
        name = partition("curated", date, stage.files[0])
        return Publication(
            partition("curated", date, stage.manifest),
            {
                "id": upstream["id"],
                "made_from": upstream["id"],
                "as_of": self.run.intent.stamp,
                "because": self.jobs[date][stage],
                "superseded": gone,
                "counts": {
                    "kept": upstream["counts"]["normalized"] - len(gone),
                    "superseded_elsewhere": len(gone),
                    "resurfaced": self._resurfaced(stage, date, gone),
                    "rows": rows,
                },
            },
            {name: self.run.lake.stage(name)},
        )

    def _superseded(self, date: str) -> dict[str, str]:
        """The versions, by order_id, that the date does not keep."""
        rows = self.losers[date].to_pylist() if date in self.losers else []
        return {row["order_id"]: str(row["version"]) for row in rows}

    def _resurfaced(self, stage: Stage, date: str, gone: dict[str, str]) -> int:
        """How many versions the date did not keep before and keeps now: what had won over them has vanished."""
        before = (self.run.lake.manifest(stage, date) or {}).get("superseded", {})
        if stage is not FACT_ORDER_STAGE or not before.keys() - gone.keys():
            return 0
        orders = pq.read_table(self._file(date, ORDERS.file), partitioning=None)
        version = pc.coalesce(orders["updated_at"], orders["created_at"])
        now = {key: str(at) for key, at in zip(orders["order_id"].to_pylist(), version.to_pylist(), strict=True)}
        return sum(now.get(key) == at for key, at in before.items() if key not in gone)

    def in_order(self) -> list[Publication]:
        """Losers first, so that a reader sees a moving order nowhere rather than twice; swaps have no such order."""
        winners = {date: self.winners.get(date, set()) for date in self.publications}
        return [publication for date in publishing_order(winners) for publication in self.publications[date]]

    def report(self, seconds: float) -> None:
        counts = [p.body["counts"] for date in self.publications for p in self.publications[date]]
        emit(
            "written",
            stage="curated",
            partitions=len(self.publications),
            files=len(counts),
            rows=sum(count["rows"] for count in counts),
            seconds=seconds,
        )
        resurfaced = sum(count["resurfaced"] for count in counts)
        if resurfaced:
            emit("resurfaced", level=logging.WARNING, orders=resurfaced)
