"""The failures of a stage, by date, and how they are recorded and reported."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.contract import Stage
from pipeline.dates import fold_dates
from pipeline.errors import CorruptPartition, DateFailed, PipelineError, RunFailed, UnfitMap
from pipeline.events import emit
from pipeline.lake.completeness import failure_file
from pipeline.lake.lake import Lake
from pipeline.lake.run import Intent, Run

NAMED_FAILURES = 20


@dataclass
class Outcome:
    """The failures of a stage by date. The other dates of the stage are published."""

    stage: Stage
    failed: dict[str, PipelineError] = field(default_factory=dict)
    # API requests and retries, by kind, for each date that failed
    api: dict[str, dict[str, int]] = field(default_factory=dict)
    # the stage at fault, for dates where another stage than this one is at fault
    at_fault: dict[str, Stage] = field(default_factory=dict)

    def fail(self, date: str, error: Exception, *, at_fault: Stage | None = None) -> None:
        """Note the error of a date. An error that is not a PipelineError becomes a DateFailed."""
        if at_fault is not None:
            self.at_fault[date] = at_fault
        self.failed[date] = error if isinstance(error, PipelineError) else DateFailed(_text(self.stage, date, error))

    def fail_all(self, unpublished: dict[str, OSError]) -> None:
        """Note the errors of Lake.publish(), which are by manifest name."""
        for name, error in unpublished.items():
            self.fail(name.split("date=")[1].split("/")[0], error)

    def close(self, lake: Lake, intent: Intent) -> None:
        """With keep_going, write the failures to the lake; otherwise raise RunFailed. Call it under the lake's lock."""
        for error in by_text(self.failed):
            emit("date_failed", level=logging.ERROR, stage=self.stage.name, error=str(error))
        if intent.keep_going:
            for date, error in self.failed.items():
                stage = self.at_fault.get(date, self.stage)
                _write_failure(lake, intent, (stage, date), error, self.api.get(date, {}))
        elif self.failed:
            raise RunFailed(error_text(by_text(self.failed)))


def note_failure(run: Run, stage: Stage, date: str, error: Exception) -> None:
    """Write one failure of a date, or of the undated records, to the lake. Call it under the lake's lock."""
    emit("date_failed", level=logging.ERROR, stage=stage.name, error=str(error))
    _write_failure(run.lake, run.intent, (stage, date), error, {})


def _write_failure(
    lake: Lake, intent: Intent, failed: tuple[Stage, str], error: Exception, api: Mapping[str, int]
) -> None:
    stage, date = failed
    # a map that does not fit is one error, however many dates share it
    is_complete = "date=" in str(error) or isinstance(error, UnfitMap)
    text = str(error) if is_complete else _text(stage, date, error)
    note = {"stage": stage.name, "date": date, "error": text, "kind": type(error).__name__, "api": dict(api)}
    lake.files.write(failure_file(stage, date, intent), note)


def _text(stage: Stage, date: str, error: Exception) -> str:
    found = error if str(error) else "the machine has too little memory for the records of this date"
    return f"{stage.name} date={date}: {found}; fix the cause and run again"


def forget_failed_try(lake: Lake, intent: Intent) -> None:
    """Delete the failures of an earlier run with the same as_of, so that its failed dates are tried again."""
    with lake.work.locked():
        lake.files.remove_folder(intent.failures)
        lake.files.remove(intent.alerted)


def by_text(failed: Mapping[str, PipelineError]) -> list[PipelineError]:
    """The errors of dates, each text once. A text without `date=` gets the dates that share it as its prefix."""
    dates: dict[str, list[str]] = {}
    for date, error in sorted(failed.items()):
        dates.setdefault(str(error), []).append(date)
    return [
        RunFailed(text if "date=" in text else f"date={fold_dates(shared)}: {text}") for text, shared in dates.items()
    ]


def error_text(errors: list[PipelineError]) -> str:
    """The errors in one line; from NAMED_FAILURES on they are only counted."""
    named = "; ".join(str(error) for error in errors[:NAMED_FAILURES])
    more = len(errors) - NAMED_FAILURES
    return named + (f"; and {more} more, see the run's summary" if more > 0 else "")


def corrupt(name: str, found: str) -> CorruptPartition:
    return CorruptPartition(f"{name}: {found}; delete the file and run again to rebuild it from its upstream")
