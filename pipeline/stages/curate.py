"""WriteFactOrder and WriteOrderItems: publish the curated tables, in which each order is in one partition only."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.contract import CURATED_STAGES, FACT_ORDER_STAGE, NORMALIZED_STAGE, ORDERS, Stage
from pipeline.engine import Engine, EngineError
from pipeline.events import emit
from pipeline.lake import (
    STALE,
    CuratedManifest,
    Lake,
    NormalizedManifest,
    Outcome,
    Publication,
    Run,
    may_be_stale,
    why_incomplete,
    why_outdated,
)
from pipeline.observe.rotten import disown_rotten
from pipeline.stages.curate_piece import Job, Made, Piece, stage
from pipeline.stages.publishing_order import publishing_order
from pipeline.stages.staging import cut, staged
from pipeline.stages.unsound import doubled, held_back, unsound

PIECE_BYTES = 16 << 20

# by date and table: the reason why the table has to be made
Reasons = dict[str, dict[Stage, str]]


def curate(run: Run, table: Stage, dates: list[str]) -> None:
    """Publish the table of each of these dates that is not complete, and each stale curated table of the whole lake.

    Does nothing if all these dates are complete and there is no stale mark that counts; see may_be_stale(). Unsound
    dates, and dates that may share an order with one, fail. Raises RunFailed naming the dates that failed, unless the
    intent is to keep going.
    """
    if not _due(run, table, dates):
        return
    started = time.monotonic()
    outcome = Outcome(table)
    run.open_cluster()
    with run.lake.work.locked():
        with run.open_engine() as engine:
            build = _Build(run, engine, outcome, _reasons(run, table, dates), unsound(run.lake))
            build.stage()
            build.unstage_held_back()
            outcome.fail_all(run.lake.publish(build.in_order()))
            for date, error in doubled(run.lake, engine, build.unsound_dates).items():
                outcome.fail(date, error)
        if not outcome.failed:
            _clear_stale_mark(run.lake, build.unsound_dates)
        outcome.close(run.lake, run.intent)
    build.report(time.monotonic() - started)


def _clear_stale_mark(lake: Lake, unsound_dates: list[str]) -> None:
    """Remove the stale mark. While there are unsound dates, it stays and names them: their orders may have moved."""
    if not unsound_dates:
        lake.files.remove(STALE)
    elif lake.files.has(STALE):
        lake.files.write(STALE, {"waits_for": unsound_dates})


def curate_stale(run: Run) -> None:
    """Publish each stale curated table of the whole lake. Does nothing if there is no stale mark that counts.

    The mark and the errors are those of curate().
    """
    if may_be_stale(run.lake):
        curate(run, FACT_ORDER_STAGE, [])


def _due(run: Run, table: Stage, dates: list[str]) -> bool:
    return may_be_stale(run.lake) or any(why_incomplete(run.lake, table, date, run.intent) for date in dates)


def _reasons(run: Run, table: Stage, dates: list[str]) -> Reasons:
    """The reasons to make the table of each incomplete date, and each stale curated table of the whole lake."""
    found: Reasons = {}
    for date in dates:
        reason = why_incomplete(run.lake, table, date, run.intent)
        if reason is not None:
            found[date] = {table: reason}
    for date in run.lake.partitions("normalized"):
        if run.lake.is_whole(NORMALIZED_STAGE, date):
            for each in CURATED_STAGES:
                reason = why_outdated(run.lake, each, date)
                if reason is not None:
                    found.setdefault(date, {}).setdefault(each, reason)
    return found


@dataclass
class _Build:
    """One pass over the partitions to curate. All are staged before the first is published."""

    run: Run
    engine: Engine
    outcome: Outcome
    because: Reasons
    # all unsound dates of the lake; _disown_unreadable() lists them again
    unsound_dates: list[str]
    publications: dict[str, Made] = field(default_factory=dict)
    # by date: the version of each order that another date keeps
    losers: dict[str, dict[str, str]] = field(default_factory=dict)
    winners: dict[str, set[str]] = field(default_factory=dict)
    # whether a normalized partition turned out to be unreadable
    found_unreadable: bool = False

    def stage(self) -> None:
        """Write every file to the staging folder. Dates that fail are noted in the outcome."""
        self._find_losers()
        pieces = self._pieces()
        self.publications = staged(
            "curating dates", len(self.because), pieces, stage, self.run.place(self.engine), self.outcome
        )

    def unstage_held_back(self) -> None:
        """Fail the staged dates that held_back() names, if this pass found an unreadable normalized partition."""
        failed = sorted(self.outcome.failed)
        if not self._disown_unreadable(failed) and not self.found_unreadable:
            return
        for date, error in held_back(self.run.lake, self.engine, sorted(self.publications), self.unsound_dates).items():
            self.outcome.fail(date, error)
            del self.publications[date]

    def _find_losers(self) -> None:
        """Find the orders of these dates that another date has in a later version.

        Only partitions that are `neighbours` in a normalized manifest can share an order, so only those are read.
        """
        self._fail_held_back()
        sharing = {date for date in self.because if self._manifest(date).neighbours}
        among = sharing.union(*(self._manifest(date).neighbours for date in sharing))
        dates = [date for date in sorted(among) if self.run.lake.is_whole(NORMALIZED_STAGE, date)]
        if not dates:
            return
        try:
            self.engine.register_files(ORDERS, self.run.lake.paths(ORDERS, dates))
            self.engine.keep("key")
        except EngineError:
            if not self._disown_unreadable(dates):
                raise
            return self._find_losers()
        self.engine.keep("loser")
        for row in self.engine.query("losers").to_pylist():
            date = str(row["date"])
            self.losers.setdefault(date, {})[row["order_id"]] = str(row["version"])
            self.winners.setdefault(date, set()).add(str(row["winner"]))

    def _fail_held_back(self) -> None:
        """Fail the dates that held_back() names: unsound dates, and dates that may share an order with one."""
        dates = sorted(self.because)
        try:
            refused = held_back(self.run.lake, self.engine, dates, self.unsound_dates)
        except EngineError:
            if not self._disown_unreadable(dates):
                raise
            return self._fail_held_back()
        for date, error in refused.items():
            self._fail(date, error)

    def _disown_unreadable(self, dates: list[str]) -> bool:
        """Disown the unreadable normalized partitions of these dates, and fail these dates.

        If there are any, the unsound dates are listed again. Returns whether there are any.
        """
        unreadable = disown_rotten(self.run.lake, NORMALIZED_STAGE, dates)
        for date, error in unreadable.items():
            self._fail(date, error, at_fault=NORMALIZED_STAGE)
            self.publications.pop(date, None)
        if unreadable:
            self.found_unreadable, self.unsound_dates = True, unsound(self.run.lake)
        return bool(unreadable)

    def _fail(self, date: str, error: Exception, *, at_fault: Stage | None = None) -> None:
        self.outcome.fail(date, error, at_fault=at_fault)
        self.because.pop(date, None)

    def _manifest(self, date: str) -> NormalizedManifest:
        return self.run.lake.normalized(date) or NormalizedManifest(id=None)

    def _pieces(self) -> Iterator[Piece]:
        """The dates in pieces of about PIECE_BYTES, so that the memory is bounded."""
        for dates in cut(sorted(self.because), lambda date: sum(self._manifest(date).files.values()), PIECE_BYTES):
            yield Piece(self.run.lake.files, {date: self._job(date) for date in dates})

    def _job(self, date: str) -> Job:
        before = self.run.lake.curated(FACT_ORDER_STAGE, date)
        return Job(
            self._manifest(date),
            self.because[date],
            self.run.intent.stamp,
            self.losers.get(date, {}),
            before.superseded if before is not None else {},
        )

    def in_order(self) -> list[Publication[CuratedManifest]]:
        """The publications, sorted so that a date that loses an order comes before the date that wins the order.

        A reader then sees the order on no date rather than on two dates. If two dates swap orders, no such sequence
        exists. Then a reader may for a moment see an order on both dates.
        """
        winners = {date: self.winners.get(date, set()) for date in self.publications}
        return [publication for date in publishing_order(winners) for publication in self.publications[date]]

    def report(self, seconds: float) -> None:
        counts = [made.manifest.counts for date in self.publications for made in self.publications[date]]
        emit(
            "written",
            stage="curated",
            partitions=len(self.publications),
            files=len(counts),
            rows=sum(count.rows for count in counts),
            seconds=seconds,
        )
        resurfaced = sum(count.resurfaced for count in counts)
        if resurfaced:
            emit("resurfaced", level=logging.WARNING, orders=resurfaced)
