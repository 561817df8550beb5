"""RunAll: every date of a range through all layers, then views, checks and the summary."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipeline import config
from pipeline.config import Instant
from pipeline.contract import UNDATED
from pipeline.dates import chosen, grouped
from pipeline.errors import BadSetting, RunFailed
from pipeline.events import emit
from pipeline.freshness import run_name
from pipeline.sources.dump import Dump
from pipeline.stages.conclude import conclude
from pipeline.stages.curate import curate
from pipeline.stages.land import learn
from pipeline.storage import Lake
from pipeline.targets import FileTarget
from pipeline.tasks.base import LakeTask, open_engine, open_lake
from pipeline.tasks.dims import SeedDims, warehouse_path
from pipeline.tasks.partitions import NormalizeOrders, WriteFactOrder, WriteOrderItems


class RunAll(LakeTask):
    """Every date that meets [since, until), whole, through all layers; then views, checks and the run's summary."""

    since = Instant(
        default=None, positional=False, description="first instant; its whole date is run (default: from the start)"
    )
    _announced = False
    until = Instant(default=None, positional=False, description="end of the range, not in it (default: now)")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.since is not None and self.since >= self.end:
            until = "--until" if self.until is not None else "now, since --until is not given"
            since, end = (f"{instant.isoformat()}Z" for instant in (self.since, self.end))
            raise BadSetting(f"--since {since}: expected a time before {end} ({until})")

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
            emit("run_start", as_of=self.intent.stamp, since=self.since and self.since.isoformat() + "Z")
            self._announced = True

    def output(self) -> FileTarget:
        return FileTarget(open_lake(), f"runs/{run_name(self.stamp)}.json")

    def run(self) -> Iterator[Any]:
        lake = open_lake()
        dates = self.dates(lake)
        groups = grouped(dates, config.run().dates_per_task)
        yield [self.clone(NormalizeOrders, date=group, keep_going=True) for group in groups]
        tables = (WriteFactOrder, WriteOrderItems)
        yield [self.clone(table, date=group, keep_going=True) for table in tables for group in groups]
        curate(lake, WriteFactOrder.stage, [], replace(self.intent, keep_going=True), open_engine)
        self._conclude(lake, dates)

    def dates(self, lake: Lake) -> list[str]:
        """The dates of the source and those landed, within the range."""
        found = set(lake.partitions("raw")) - {UNDATED}
        if not self.reprocess:
            found |= set(learn(lake, Dump.at(config.orders_api().url), self.intent, open_engine).dates())
        return chosen(found, self.since, self.end)

    def _conclude(self, lake: Lake, dates: list[str]) -> None:
        failed = lake.read(self._dimensions().failure())
        conclude(
            lake,
            dates,
            self.intent,
            name=self.output().name,
            warehouse=warehouse_path(),
            options={
                "since": self.since and self.since.isoformat() + "Z",
                "until": self.end.isoformat() + "Z",
                "force": self.force,
                "reprocess": self.reprocess,
            },
            errors=[RunFailed(failed["error"])] if failed else [],
            open_engine=open_engine,
        )
