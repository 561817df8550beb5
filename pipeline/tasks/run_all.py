"""RunAll: every date of a range through all layers, then views, checks and the summary."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipeline import config
from pipeline.dates import chosen, grouped
from pipeline.errors import BadSetting, RunFailed
from pipeline.events import emit
from pipeline.lake.files import Lake
from pipeline.lake.outcome import forget_failed_try
from pipeline.observe.history import summary, summary_name
from pipeline.observe.settings import unknown
from pipeline.settings.setting import Instant, InstantOrAuto
from pipeline.sources.changed import move_on
from pipeline.stages.conclude import conclude
from pipeline.stages.curate import curate
from pipeline.tasks.announce import announce
from pipeline.tasks.base import LakeTask, PartitionTask, open_engine, open_lake, refuse_if_done_later
from pipeline.tasks.dims import SeedDims, warehouse_path
from pipeline.tasks.partitions import FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems
from pipeline.tasks.source import changes_name, dates_of, is_api, shown
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
            forget_failed_try(open_lake(), self.output().name, self.intent)
            emit("run_start", as_of=self.intent.stamp, since=shown(self.since), changed_since=shown(self.changed_since))
            for setting in unknown():
                emit("unknown_setting", level=logging.WARNING, reason=setting.found, advice=setting.mend)
            self._announced = True

    def output(self) -> SummaryTarget:
        return SummaryTarget(open_lake(), summary_name(self.stamp))

    def run(self) -> Iterator[Any]:
        lake = open_lake()
        dates = dates_of(self, lake)
        groups = grouped(dates, config.run().dates_per_task)
        if is_api() and not self.reprocess and dates:
            # one task for all dates, since it asks for several windows at a time
            yield self._part(FetchOrders, dates)
        yield [self._part(NormalizeOrders, group) for group in groups]
        yield [self._part(table, group) for table in (WriteFactOrder, WriteOrderItems) for group in groups]
        curate(lake, WriteFactOrder.stage, [], replace(self.intent, keep_going=True), open_engine)
        try:
            self._conclude(lake, dates)
        finally:
            show_outcome(self, summary(lake, self.output().name))
        if (lake.read(changes_name(self.stamp)) or {}).get("moves_on"):
            move_on(lake, self.intent)

    def on_success(self) -> Any:
        announce(open_lake(), self.intent, self.output().name, open_engine)
        return super().on_success()

    def on_failure(self, exception: BaseException) -> Any:
        announce(open_lake(), self.intent, self.output().name, open_engine, exception)
        return self.told(exception)

    def _part(self, task: type[PartitionTask], dates: list[str]) -> PartitionTask:
        part: PartitionTask = self.clone(task, date=dates, reopen=self.changed_since is not None, keep_going=True)
        return part

    def _conclude(self, lake: Lake, dates: list[str]) -> None:
        failed = lake.read(self._dimensions().failure())
        conclude(
            lake,
            dates,
            self.intent,
            name=self.output().name,
            warehouse=warehouse_path(),
            from_dump=not is_api(),
            options={
                "since": shown(self.since),
                "until": shown(self.end),
                "force": self.force,
                "reprocess": self.reprocess,
                "changed_since": shown(self.changed_since),
                "changes": lake.read(changes_name(self.stamp)),
            },
            errors=[RunFailed(failed["error"])] if failed else [],
            open_engine=open_engine,
            elapsed=seconds_since_start,
        )
