"""RunAll: every date of a range through all layers, then views, checks and the summary."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from pipeline import config
from pipeline.config import Instant
from pipeline.contract import RAW_STAGE, UNDATED
from pipeline.errors import BadSetting, CheckFailed, PipelineError, RunFailed
from pipeline.events import emit
from pipeline.freshness import run_name
from pipeline.observe.checks import late_arriving, run_checks
from pipeline.observe.counts import partition_counts, touched
from pipeline.observe.summary import show, summarize
from pipeline.sources.dump import Dump
from pipeline.stages.land import learn
from pipeline.stages.outcome import told
from pipeline.stages.spool import Inventory, Part, read_inventory, remove_spool
from pipeline.storage import Lake
from pipeline.targets import FileTarget
from pipeline.tasks.base import LakeTask, open_engine, open_lake
from pipeline.tasks.dims import SeedDims, warehouse_path
from pipeline.tasks.parameters import fold_dates
from pipeline.tasks.partitions import NormalizeOrders, WriteFactOrder, WriteOrderItems
from pipeline.warehouse.views import refresh_views

TASK_A_DATE_UP_TO = 31


class RunAll(LakeTask):
    """Every date that meets [since, until), whole, through all layers; then views, checks and the run's summary."""

    since = Instant(
        default=None, positional=False, description="first instant; its whole date is run (default: from the start)"
    )
    until = Instant(default=None, positional=False, description="end of the range, not in it (default: now)")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._announced = False
        if self.since is not None and self.since >= self.end:
            until = "--until" if self.until is not None else "now, since --until is not given"
            raise BadSetting(f"--since {self.since.isoformat()}Z: expected a time before {self.end.isoformat()}Z ({until})")

    @property
    def end(self) -> datetime:
        return self.until or self.stamp

    def requires(self) -> Any:
        return self.clone(SeedDims, keep_going=True)

    def output(self) -> FileTarget:
        return FileTarget(open_lake(), f"runs/{run_name(self.stamp)}.json")

    def run(self) -> Iterator[Any]:
        lake = open_lake()
        dates = self.dates(lake)
        self._announce(dates)
        groups = grouped(dates, config.run().dates_per_task)
        yield [self.clone(NormalizeOrders, date=group, keep_going=True) for group in groups]
        yield [self.clone(t, date=group, keep_going=True) for t in (WriteFactOrder, WriteOrderItems) for group in groups]
        self.finish(lake, dates)

    def _announce(self, dates: list[str]) -> None:
        """Once a process, though luigi starts run() again after each yield."""
        if not self._announced:
            emit("run_start", as_of=self.intent.stamp, dates=len(dates), first=dates[0] if dates else None)
            self._announced = True

    def dates(self, lake: Lake) -> list[str]:
        """The dates of the source and those landed, within the range."""
        found = set(lake.partitions("raw")) - {UNDATED}
        if not self.reprocess:
            found |= set(learn(lake, Dump.at(config.orders_api().url), self.intent, open_engine).dates())
        return chosen(found, self.since, self.end)

    def finish(self, lake: Lake, dates: list[str]) -> None:
        """Views, checks and summary under the lake's lock; then one error that names all that failed."""
        intent = self.intent
        with lake.locked():
            errors = self._errors(lake)
            partitions = [partition_counts(lake, date, intent) for date in dates]
            curated = touched(lake, intent)
            checks, unknown = {}, {"unknown_user": 0, "unknown_sku": 0}
            if curated:
                with open_engine() as engine:
                    checks = run_checks(lake, engine, curated)
                    if not errors:
                        unknown = late_arriving(lake, engine, curated)
            summary = summarize(
                partitions,
                undated=undated(lake),
                differing=self._differing(lake, dates),
                unknown=unknown,
                checks=checks,
                options=self._options(dates),
            )
            try:
                refresh_views(lake, warehouse_path())
            except PipelineError as error:
                errors.append(error)
            remove_spool(lake)
            lake.write(self.output().name, summary)
        path = lake.path(self.output().name)
        show(partitions, summary, path)
        errors += [RunFailed(part.error) for part in partitions if part.error]
        errors += [CheckFailed(f"check {name}: {len(rows)} row(s) break it, such as {rows[0]}") for name, rows in checks.items() if rows]
        emit("run_end", as_of=intent.stamp, built=len(curated), failed=len(errors), summary=path)
        if errors:
            raise RunFailed(f"{told(errors)}; summary: {path}")

    def _errors(self, lake: Lake) -> list[PipelineError]:
        failed = lake.read(self.requires().failure())
        return [RunFailed(failed["error"])] if failed else []

    def _differing(self, lake: Lake, dates: list[str]) -> list[str]:
        """Settled dates whose landed records are not those of the source now."""
        inventory = read_inventory(lake)
        if self.reprocess or inventory is None:
            return []
        return [date for date in dates if differs(lake, inventory, date)]

    def _options(self, dates: list[str]) -> dict[str, Any]:
        return {
            "as_of": self.intent.stamp,
            "since": self.since and self.since.isoformat() + "Z",
            "until": self.end.isoformat() + "Z",
            "force": self.force,
            "reprocess": self.reprocess,
            "chosen_dates": fold_dates(dates),
        }


def chosen(dates: set[str], since: datetime | None, until: datetime) -> list[str]:
    """The dates that meet [since, until), sorted: a date is chosen whole or not at all."""
    first = since.date().isoformat() if since else ""
    last = (until - timedelta(microseconds=1)).date().isoformat()
    return sorted(date for date in dates if first <= date <= last)


def grouped(dates: list[str], dates_per_task: int) -> list[list[str]]:
    """Dates by task: [run] dates_per_task each, or one each up to 31 of them, or a calendar year each beyond."""
    if dates_per_task:
        return [dates[start : start + dates_per_task] for start in range(0, len(dates), dates_per_task)]
    if len(dates) <= TASK_A_DATE_UP_TO:
        return [[date] for date in dates]
    return [[date for date in dates if date[:4] == year] for year in sorted({date[:4] for date in dates})]


def differs(lake: Lake, inventory: Inventory, date: str) -> bool:
    """Whether the source holds other records of a landed date than the landed ones."""
    manifest = lake.manifest(RAW_STAGE, date)
    return manifest is not None and manifest.get("id") not in (None, inventory.parts.get(date, Part()).id)


def undated(lake: Lake) -> dict[str, Any]:
    """The counts of the undated partition; empty when there is none."""
    counts: dict[str, Any] = (lake.manifest(RAW_STAGE, UNDATED) or {}).get("counts", {})
    return counts if counts.get("extracted") else {}
