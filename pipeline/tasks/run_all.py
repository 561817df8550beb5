"""RunAll: every date of a range through all layers, then views, checks and the summary."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipeline import config
from pipeline.dates import chosen, grouped
from pipeline.errors import BadSetting, PipelineError, RunFailed
from pipeline.events import emit
from pipeline.lake import Run, forget_failed_try
from pipeline.observe.history import Options, summary, summary_name
from pipeline.observe.settings import unknown
from pipeline.settings.setting import Instant, InstantOrAuto
from pipeline.sources.base import Source
from pipeline.sources.changed import move_on
from pipeline.stages.conclude import Ending, conclude
from pipeline.stages.curate import curate_stale
from pipeline.tasks.announce import announce
from pipeline.tasks.base import LakeTask, PartitionTask, open_lake, refuse_if_done_later
from pipeline.tasks.dims import SeedDims, warehouse_path
from pipeline.tasks.partitions import FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems
from pipeline.tasks.source import dates_of, known_changes, open_source, shown
from pipeline.tasks.start import seconds_since_start
from pipeline.tasks.status import show_outcome
from pipeline.tasks.targets import SummaryTarget


class RunAll(LakeTask):
    """Every date that meets [since, until), whole, through all layers; then views, checks and the run's summary."""

    since = Instant(
        default=None, positional=False, description="first instant; its whole date is run (default: from the start)"
    )
    _announced = False
    until = Instant(default=None, positional=False, description="end of the range, not in it (default: now)")

    changed_since = InstantOrAuto(
        default=None,
        positional=False,
        description="only the dates of orders updated since then; auto: since the last such run",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.changed_since is not None and (self.force or self.reprocess):
            raise BadSetting(f"--changed-since with --{'force' if self.force else 'reprocess'}: expected one of them")
        if self.since is not None and self.since >= self.end:
            until = "--until" if self.until is not None else "now, since --until is not given"
            since, end = shown(self.since), shown(self.end)
            raise BadSetting(f"--since {since}: expected a time before {end} ({until})")
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
        """Once a run: luigi asks for what is required before it forks, and starts run() again after each yield."""
        if not self._announced:
            tried = summary(open_lake(), self.output().name)
            if tried is not None and tried.errors:
                forget_failed_try(open_lake(), self.intent)
            emit("run_start", as_of=self.intent.stamp, since=shown(self.since), changed_since=shown(self.changed_since))
            for setting in unknown():
                emit("unknown_setting", level=logging.WARNING, reason=setting.found, advice=setting.mend)
            self._announced = True

    def output(self) -> SummaryTarget:
        return SummaryTarget(open_lake(), summary_name(self.stamp))

    def run(self) -> Iterator[Any]:
        lake = open_lake()
        source = open_source()
        dates = dates_of(self, source)
        groups = grouped(dates, config.run().dates_per_task)
        if source.lands_together and not self.reprocess and dates:
            # one task for all dates, since it asks for several windows at a time
            yield self._part(FetchOrders, dates)
        yield [self._part(NormalizeOrders, group) for group in groups]
        yield [self._part(table, group) for table in (WriteFactOrder, WriteOrderItems) for group in groups]
        curate_stale(self._going_on)
        try:
            self._conclude(source, dates)
        finally:
            show_outcome(self, summary(lake, self.output().name))
        found = known_changes(lake, self.stamp)
        if found is not None and found.moves_on:
            move_on(self.this_run)

    def on_success(self) -> Any:
        announce(self.this_run)
        return super().on_success()

    def on_failure(self, exception: BaseException) -> Any:
        announce(self.this_run, exception)
        return self.error_text(exception)

    def _part(self, task: type[PartitionTask], dates: list[str]) -> PartitionTask:
        part: PartitionTask = self.clone(task, date=dates, reopen=self.changed_since is not None, keep_going=True)
        return part

    @property
    def _going_on(self) -> Run:
        """This run, for what notes a failed date and goes on with the others."""
        return replace(self.this_run, intent=replace(self.intent, keep_going=True))

    def _conclude(self, source: Source, dates: list[str]) -> None:
        lake = open_lake()
        failed = lake.files.read(self._dimensions().failure())
        options = Options(
            since=shown(self.since),
            until=shown(self.end),
            force=self.force,
            reprocess=self.reprocess,
            changed_since=shown(self.changed_since),
            changes=known_changes(lake, self.stamp),
        )
        errors: list[PipelineError] = [RunFailed(failed["error"])] if failed else []
        ending = Ending(
            dates, warehouse_path(), None if self.reprocess else source, options, errors, seconds_since_start
        )
        conclude(self.this_run, ending)
