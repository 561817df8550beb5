"""RunAll: every date of a range through all layers, then views, checks and the summary."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import luigi

from pipeline import config
from pipeline.dates import chosen, grouped
from pipeline.errors import BadSetting
from pipeline.observe.output import TABLE_UP_TO_DATES, Wanted
from pipeline.settings.setting import Instant, InstantOrAuto
from pipeline.stages.conclude import conclude
from pipeline.stages.curate import curate_stale
from pipeline.tasks.announce import announce, announce_start, report_to_come
from pipeline.tasks.base import LakeTask, PartitionTask, open_lake, refuse_if_done_later
from pipeline.tasks.dims import SeedDims
from pipeline.tasks.ending import ending
from pipeline.tasks.outputs import refuse_overwriting
from pipeline.tasks.partitions import FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems
from pipeline.tasks.source import advance_auto, dates_of, open_source, options_of, shown
from pipeline.tasks.status import show_outcome
from pipeline.tasks.targets import SummaryTarget


class RunAll(LakeTask):
    """Builds every date that meets [since, until), as a whole date, in all layers; then views, checks and summary."""

    since = Instant(
        default=None,
        positional=False,
        description="start of the range; the whole UTC date of this time is run (default: the first date)",
    )
    until = Instant(
        default=None, positional=False, description="end of the range, which is not part of it (default: now)"
    )

    changed_since = InstantOrAuto(
        default=None,
        positional=False,
        description="only the dates of orders updated since this time; auto: since the last such run",
    )
    verbose = luigi.BoolParameter(
        positional=False,
        significant=False,
        description=f"show the table of dates also if there are more than {TABLE_UP_TO_DATES}",
    )
    _announced = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.changed_since is not None and (self.force or self.reprocess):
            raise BadSetting(f"--changed-since with --{'force' if self.force else 'reprocess'}: expected one of them")
        if self.since is not None and self.since >= self.end:
            until = "--until" if self.until is not None else "now, since --until is not given"
            since, end = shown(self.since), shown(self.end)
            raise BadSetting(f"--since {since}: expected a time before {end} ({until})")
        if textfile := config.metrics().textfile:
            refuse_overwriting("[metrics] textfile =", textfile)
        if self.force or self.reprocess:
            refuse_if_done_later(chosen(open_lake().dates(), self.since, self.end), self.intent)

    @property
    def end(self) -> datetime:
        end: datetime = self.until or self.stamp
        return end

    def requires(self) -> Any:
        self._announce()
        return self._dimensions()

    def _dimensions(self) -> SeedDims:
        task: SeedDims = self.clone(SeedDims, keep_going=True)
        return task

    def _announce(self) -> None:
        """Announce the start, once a run. Luigi calls requires() before it forks and starts run() after each yield."""
        if not self._announced:
            announce_start(self.this_run, shown(self.since), shown(self.changed_since))
            self._announced = True

    def output(self) -> SummaryTarget:
        return SummaryTarget(open_lake(), self.stamp)

    def run(self) -> Iterator[Any]:
        # an API may take hours, and only then is the cluster used
        self.this_run.reach_cluster()
        source = open_source()
        dates = dates_of(self, source)
        # not all dates: luigi would look at each of them again and again
        due = self._part(FetchOrders, dates).due() if dates and not self.reprocess else []
        if due:
            yield self._part(FetchOrders, due)
        landed = self.not_failed(FetchOrders.stage, dates)
        yield [self._part(NormalizeOrders, group) for group in grouped(landed, self._dates_per_task(landed))]
        normalized = self.not_failed(NormalizeOrders.stage, dates)
        if normalized:
            yield [self._part(table, normalized) for table in (WriteFactOrder, WriteOrderItems)]
        curate_stale(self.this_run.keeping_going)
        errors, asked = self._dimensions().errors(), not self.reprocess
        shown = Wanted(self.verbose, report_to_come(self.this_run.lake))
        try:
            conclude(self.this_run, ending(dates, options_of(self), source, errors, asked=asked, shown=shown))
        finally:
            show_outcome(self, self.output().read())
        advance_auto(self)

    def on_success(self) -> Any:
        announce(self.this_run)
        return super().on_success()

    def on_failure(self, exception: BaseException) -> Any:
        announce(self.this_run, exception)
        return self.error_text(exception)

    def _dates_per_task(self, dates: list[str]) -> int:
        """[run] dates_per_task. If it is not set, a cluster gets all dates at once: a task waits for its last piece."""
        return config.run().dates_per_task or (len(dates) if config.cluster().address else 0)

    def _part(self, task: type[PartitionTask], dates: list[str]) -> PartitionTask:
        part: PartitionTask = self.clone(task, date=dates, reopen=self.changed_since is not None, keep_going=True)
        return part
