"""NormalizeOrders: publishes one orders file and one items file a date, and the quarantine of its discarded records."""

import filecmp
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import pyarrow as pa
from msgspec.structs import replace

from pipeline.contract import NORMALIZED_STAGE, ORDERS, raw_name
from pipeline.engine import Engine, EngineError
from pipeline.errors import NotLanded
from pipeline.events import emit
from pipeline.lake import (
    STALE,
    Keys,
    NormalizedManifest,
    Outcome,
    Publication,
    Run,
    may_hold,
    normalized_id,
    why_incomplete,
)
from pipeline.observe.rotten import disown_rotten
from pipeline.sources.raw import Shape, fields_of
from pipeline.stages.fit import unfit
from pipeline.stages.normalize_piece import Due, Piece, logic_of, stage
from pipeline.stages.staging import cut, staged

PIECE_BYTES = 24 << 20


def normalize(run: Run, dates: list[str], shape: Shape) -> None:
    """Publish the normalized partition of each date that is not complete. A date that fails does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    if not any(why_incomplete(run.lake, NORMALIZED_STAGE, date, run.intent) for date in dates):
        return
    started = time.monotonic()
    outcome = Outcome(NORMALIZED_STAGE)
    run.open_cluster()
    # opening the engine takes as long as building a small date, so nobody has to wait for it at the lock
    with run.open_engine() as engine, run.lake.work.locked():
        reasons = {date: why_incomplete(run.lake, NORMALIZED_STAGE, date, run.intent) for date in dates}
        todo = {date: reason for date, reason in reasons.items() if reason is not None}
        for date in [date for date in todo if run.lake.landed(date).id is None]:
            text = f"raw/date={date}: not landed any more; another command has taken it back meanwhile; run again"
            outcome.fail(date, NotLanded(text))
            del todo[date]
        for date, error in unfit(run, engine, list(todo), shape).items():
            outcome.fail(date, error)
            del todo[date]
        build = _Build(run, engine, outcome, shape)
        build.stage(todo)
        if build.publications:
            build.publish()
        outcome.close(run.lake, run.intent)
    build.report(time.monotonic() - started)


@dataclass
class _Build:
    """One pass over the dates to build. All are staged before the first is published."""

    run: Run
    engine: Engine
    outcome: Outcome
    shape: Shape
    publications: dict[str, Publication[NormalizedManifest]] = field(default_factory=dict)

    def stage(self, because: dict[str, str]) -> None:
        """Write every date's files to the staging folder. Dates that fail are noted in the outcome."""
        pieces = self._pieces(because)
        self.publications = staged(
            "normalizing dates", len(because), pieces, stage, self.run.place(self.engine), self.outcome
        )

    def _pieces(self, because: dict[str, str]) -> Iterator[Piece]:
        """Pieces of about PIECE_BYTES, so that the memory is bounded. All dates of a piece have the same field map."""
        lake = self.run.lake
        fields = {date: fields_of(lake.landed(date), self.shape) for date in because}
        for logic, dates in groupby(sorted(because), key=lambda date: logic_of(fields[date])):
            for piece in cut(dates, lambda date: lake.landed(date).files.get(raw_name(date), 0), PIECE_BYTES):
                yield Piece(
                    lake.files, fields[piece[0]], {date: self._due(date, because[date], logic) for date in piece}
                )

    def _due(self, date: str, because: str, logic: int | str) -> Due:
        landed, before = self.run.lake.landed(date), self.run.lake.normalized(date)
        manifest = NormalizedManifest(
            id=None,
            made_from=str(landed.id),
            as_of=self.run.intent.stamp,
            because=because,
            logic_version=logic,
            generation=(before.generation if before is not None else 0) or time.time_ns(),
        )
        return Due(landed, manifest)

    def publish(self) -> None:
        """Publish the staged dates. Before that, partitions that share an order with a changed date become stale."""
        shared = self._shared()
        changed = {date for date in self.publications if self._changes_versions(date)}
        touched = {neighbour for date in changed for neighbour in shared.get(date, set())}
        for date, publication in self.publications.items():
            manifest = publication.manifest
            manifest.neighbours = sorted(shared.get(date, set()))
            manifest.generation += date in touched or date in changed
            manifest.id = normalized_id(manifest)
        self.run.lake.files.write(STALE, {"as_of": self.run.intent.stamp})
        self.run.lake.files.sync_folders([STALE])
        self._touch({date for date in touched if date not in self.publications}, shared)
        self.outcome.fail_all(self.run.lake.publish(list(self.publications.values())))

    def _shared(self) -> dict[str, set[str]]:
        """For each date being built, the dates that share an order_id with its new or its published rows."""
        built = {date: self._staged_orders(date) for date in self.publications}
        shared: dict[str, set[str]] = {date: set() for date in built}
        others = []
        for date in self.run.lake.partitions("normalized"):
            manifest = self.run.lake.normalized(date)
            for neighbour in manifest.neighbours if manifest is not None else ():
                if date in shared:
                    shared[date].add(neighbour)
                if neighbour in shared:
                    shared[neighbour].add(date)
            if date not in built and self.run.lake.whole(manifest):
                others.append(date)
        keys = self._keys()
        near = may_hold(self.run.lake, NORMALIZED_STAGE, others, keys)
        if near or keys.may_repeat:
            for row in self._sharing(built, near).to_pylist():
                shared[str(row["date"])].add(str(row["neighbour"]))
        return shared

    def _keys(self) -> Keys:
        """The orders that are being published."""
        return Keys.all(
            Keys.staged(publication, NORMALIZED_STAGE, date) for date, publication in self.publications.items()
        )

    def _staged_orders(self, date: str) -> str:
        return self.publications[date].path_of(ORDERS.at(date))

    def _sharing(self, built: dict[str, str], others: list[str]) -> pa.Table:
        """The rows of shared_order.sql. Partitions that cannot be read fail and are left out."""
        try:
            self.engine.register_files(ORDERS, [*built.values(), *self.run.lake.paths(ORDERS, others)])
            self.engine.register_files(ORDERS, built.values(), "built_orders")
            return self.engine.query("shared_order")
        except EngineError:
            unreadable = disown_rotten(self.run.lake, NORMALIZED_STAGE, others)
            if not unreadable:
                raise
            self.outcome.failed |= unreadable
            return self._sharing(built, [date for date in others if date not in unreadable])

    def _changes_versions(self, date: str) -> bool:
        files = self.run.lake.files
        return not (
            self.run.lake.is_whole(NORMALIZED_STAGE, date)
            and filecmp.cmp(self._staged_orders(date), files.fetch(ORDERS.at(date)), shallow=False)
        )

    def _touch(self, dates: set[str], shared: dict[str, set[str]]) -> None:
        """Give neighbours a new id, so that their curated tables become stale. None of them is built in this pass."""
        for date in sorted(dates):
            manifest = self.run.lake.normalized(date)
            if manifest is not None and manifest.id is not None:
                sharing = {other for other, neighbours in shared.items() if date in neighbours}
                neighbours = sorted(sharing.union(manifest.neighbours))
                touched = replace(manifest, generation=manifest.generation + 1, neighbours=neighbours)
                touched.id = normalized_id(touched)
                self.run.lake.write_manifest(NORMALIZED_STAGE.manifest_at(date), touched)
        self.run.lake.files.sync_folders([NORMALIZED_STAGE.manifest_at(date) for date in dates])

    def report(self, seconds: float) -> None:
        """Log the counts of the published dates: orders, and discarded records by reason."""
        counts = {date: publication.manifest.counts for date, publication in self.publications.items()}
        for date, count in counts.items():
            outside = count.discarded.get("outside_window")
            if outside:
                emit("outside_window", level=logging.WARNING, date=date, records=outside)
        reasons = sum((Counter(count.discarded) for count in counts.values()), Counter[str]())
        if reasons:
            emit("discarded", partitions=sum(bool(count.discarded) for count in counts.values()), **reasons)
        emit(
            "written",
            stage="normalized",
            partitions=len(counts),
            orders=sum(count.normalized for count in counts.values()),
            superseded=sum(count.superseded_here for count in counts.values()),
            discarded=reasons.total(),
            seconds=seconds,
        )
