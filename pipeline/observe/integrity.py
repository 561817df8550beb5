"""Compares a lake with its manifests, and names the command that mends each fault. It writes nothing."""

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from pipeline.contract import (
    CURATED_STAGES,
    FACT_ORDER_STAGE,
    NORMALIZED_STAGE,
    ORDER_ITEMS_STAGE,
    RAW_STAGE,
    STAGES,
    UNDATED,
    Stage,
)
from pipeline.dates import fold_dates, is_date
from pipeline.engine import Engine, EngineError
from pipeline.lake import STALE, Intent, Lake, why_outdated
from pipeline.observe.checks import breaches
from pipeline.observe.contents import damaged
from pipeline.observe.counts import partition_counts
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Commands, Diagnosis

TASKS = {RAW_STAGE: "WriteFactOrder", NORMALIZED_STAGE: "WriteFactOrder"}
TASKS |= {FACT_ORDER_STAGE: "WriteFactOrder", ORDER_ITEMS_STAGE: "WriteOrderItems"}
# checks of curated files alone; the other checks compare stages, so they need dates without a fault
ALONE = {"order_id_in_one_partition", "file_date_is_folder_date"}
SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Fault:
    """One kind of fault of a stage, on any number of dates. `flag` is the option with which the task mends it."""

    level: str
    stage: Stage
    text: str
    flag: str = ""


@dataclass
class Examination:
    """One examination of a lake. With `quick` it looks only at manifests, names and sizes, and reads no data."""

    lake: Lake
    intent: Intent
    commands: Commands
    quick: bool = False
    faults: dict[Fault, list[str]] = field(default_factory=dict)

    @cached_property
    def dates(self) -> list[str]:
        """The dates for which any stage has a manifest file, readable or not."""
        found = {date for stage in STAGES for date in self.lake.partitions(stage.layer)}
        return [date for date in sorted(found) if is_date(date) and any(self._known(stage, date) for stage in STAGES)]

    def _known(self, stage: Stage, date: str) -> bool:
        """Whether the stage has a manifest file, readable or not. A copy of another date's does not count."""
        return self.lake.has_manifest(stage, date)

    def findings(self, open_engine: Callable[[], Engine]) -> list[Diagnosis]:
        """One finding per kind of fault, and one OK finding for each subject without a fault."""
        for date in self.dates:
            self._look_at(date)
        found = [*self._of_undated(), *self._diagnoses(self.faults), *self._stale()]
        sound = Diagnosis(OK, "manifests", f"{len(self.dates):,} date(s): all files there, with their sizes")
        if self.quick:
            return [*(found or [sound]), Diagnosis(OK, "contents", "not read, as --quick says")]
        return [*(found or [sound]), *self._of_contents(), *self._of_checks(open_engine)]

    def _look_at(self, date: str) -> None:
        behind = False
        for stage in STAGES:
            fault = self._fault(stage, date, behind=behind)
            if fault is not None:
                self.faults.setdefault(fault, []).append(date)
                behind = True

    def _fault(self, stage: Stage, date: str, *, behind: bool) -> Fault | None:
        """The fault of a stage of a date. With `behind`, a fault that only follows from the upstream is left out."""
        manifest = self.lake.manifest(stage, date)
        if manifest is None:
            if self._known(stage, date):
                return Fault(ERROR, stage, "its manifest cannot be read")
            if self._made(stage, date):
                return Fault(ERROR, stage, "its manifest is gone")
            return None if behind else Fault(WARNING, stage, "not built yet")
        if manifest.id is None:
            return Fault(WARNING, stage, "a run was cut off while it published")
        if not self.lake.whole(manifest):
            return Fault(ERROR, stage, "a file is gone or has another size than was published")
        if stage.upstream is None or behind or why_outdated(self.lake, stage, date) is None:
            return None
        return Fault(WARNING, stage, f"behind: {stage.upstream.name} has changed since it was made")

    def _made(self, stage: Stage, date: str) -> bool:
        """Whether the stage was built once: a file of it exists, or a later stage has a manifest."""
        own = any(map(self.lake.files.has, stage.files_at(date)))
        later = STAGES[STAGES.index(stage) + 1 :] if stage not in CURATED_STAGES else ()
        return own or any(self._known(other, date) for other in later)

    def _diagnoses(self, faults: dict[Fault, list[str]]) -> Iterator[Diagnosis]:
        for fault, dates in faults.items():
            mend = f"mend: {self.commands.task(TASKS[fault.stage], dates, fault.flag)}"
            if fault.stage is RAW_STAGE and fault.level == ERROR:
                mend += " (records that the source no longer has are only in a backup)"
            yield Diagnosis(fault.level, fault.stage.name, f"{fault.text}: {shortened(dates)}", mend)

    def _of_undated(self) -> Iterator[Diagnosis]:
        """Whether the files of the undated partition, raw and quarantine, are whole."""
        manifest = self.lake.manifest(RAW_STAGE, UNDATED)
        if self.lake.files.has(RAW_STAGE.manifest_at(UNDATED)) and not self.lake.whole(manifest):
            text = "a file of the undated records is gone or has another size than was published"
            yield Diagnosis(ERROR, "undated", text, f"mend, from a dump: {self.commands.pipeline()}")

    def _stale(self) -> Iterator[Diagnosis]:
        if self.lake.files.has(STALE) and not any(fault.stage in CURATED_STAGES for fault in self.faults):
            text = f"{STALE}: orders have moved, and curating is not finished; an order may be on two dates or on none"
            dates = [date for date in self.lake.partitions("normalized") if is_date(date)][-1:]
            yield Diagnosis(WARNING, "curated", text, f"mend: {self.commands.task('WriteFactOrder', dates)}")

    def _of_contents(self) -> Iterator[Diagnosis]:
        """Compares raw files with their hash, and tables with the contract and the manifest's counts."""
        whole = [(stage, date) for stage in STAGES for date in self.dates if self.lake.is_whole(stage, date)]
        undated = [(RAW_STAGE, UNDATED)] if self.lake.is_whole(RAW_STAGE, UNDATED) else []
        found: dict[Fault, list[str]] = {}
        damages = damaged(self.lake, [*whole, *undated])
        for (stage, date), damage in damages.items():
            if date == UNDATED:
                # a run does not replace the file, because its size is right; raw and quarantine hold the same records
                remove = f"rm {shlex.quote(self.lake.files.fetch(damage.name))}"
                mend = f"mend, from a dump: {remove} && {self.commands.pipeline()}"
                yield Diagnosis(ERROR, "undated", damage.text, mend)
            else:
                flag = "--force" if stage is RAW_STAGE else "--reprocess"
                found.setdefault(Fault(ERROR, stage, damage.text, flag), []).append(date)
        self.faults |= found
        yield from self._diagnoses(found)
        if not damages:
            yield Diagnosis(OK, "contents", f"{len(whole):,} manifest(s): hashes of raw, rows and types of tables")

    def _of_checks(self, open_engine: Callable[[], Engine]) -> Iterator[Diagnosis]:
        """The data checks. Checks in ALONE cover all whole files, the others only dates without a fault."""
        broken = {date for fault, dates in self.faults.items() if fault.flag for date in dates}
        facts = [date for date in self.dates if self.lake.is_whole(FACT_ORDER_STAGE, date) and date not in broken]
        items = [date for date in self.dates if self.lake.is_whole(ORDER_ITEMS_STAGE, date) and date not in broken]
        sound = [date for date in facts if not any(date in dates for dates in self.faults.values())]
        if not facts or not items:
            return
        try:
            with open_engine() as engine:
                alone = breaches(engine, self.lake, {"fact_order": facts, "order_items": items}, [], only=ALONE)
                counted = [partition_counts(self.lake, date, self.intent) for date in sound]
                compared = {"fact_order": sound, "order_items": sound, "orders": sound}
                between = breaches(engine, self.lake, compared, counted)
        except (EngineError, OSError) as error:
            text = str(error).splitlines()[0]
            yield Diagnosis(ERROR, "checks", f"cannot run: {text}", f"mend: {self.commands.rebuild(facts)}")
            return
        found = between | alone
        for name, rows in found.items():
            if rows.num_rows:
                text = f"{rows.num_rows:,} row(s) break it, such as {rows.slice(0, 1).to_pylist()[0]}"
                yield Diagnosis(ERROR, name, text, f"mend: {self.commands.rebuild(dates_of(rows) or facts)}")
        if not any(rows.num_rows for rows in found.values()):
            yield Diagnosis(OK, "checks", f"{', '.join(sorted(found))}: hold on {len(facts):,} date(s)")


def shortened(dates: list[str]) -> str:
    """The number of dates and the folded dates, cut to SHOWN_CHARACTERS."""
    folded = fold_dates(dates)
    return f"{len(dates):,} date(s), {folded if len(folded) <= SHOWN_CHARACTERS else folded[:SHOWN_CHARACTERS] + '…'}"


def dates_of(rows: pa.Table) -> list[str]:
    """The dates in the rows of a check, sorted."""
    found: set[str] = set()
    for row in rows.to_pylist():
        named = row.get("dates") or [row.get("date")]
        folder = os.path.basename(os.path.dirname(row.get("filename", ""))).removeprefix("date=")
        found.update(folder or str(date) for date in named)
    return sorted(filter(is_date, found))
