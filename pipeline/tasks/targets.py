"""The luigi targets of the tasks: one stage of one date, and the summary of a run."""

from datetime import datetime

import luigi

from pipeline.contract import CURATED_STAGES, Stage
from pipeline.lake import Intent, Lake, may_be_stale, why_incomplete
from pipeline.observe.history import Summary, summary, summary_name


class PartitionTarget(luigi.Target):
    """One stage of one date, complete for this run.

    A curated target does not exist while the lake has stale curated partitions, since an order may be in two of them.
    A task of RunAll (`is_part`) is exempt: RunAll itself curates stale partitions after its tasks.
    """

    def __init__(self, lake: Lake, stage: Stage, date: str, intent: Intent, *, is_part: bool) -> None:
        self.lake, self.stage, self.date, self.intent, self.is_part = lake, stage, date, intent, is_part

    def exists(self) -> bool:
        return not self._lake_is_stale() and why_incomplete(self.lake, self.stage, self.date, self.intent) is None

    def _lake_is_stale(self) -> bool:
        return self.stage in CURATED_STAGES and not self.is_part and may_be_stale(self.lake)

    def __str__(self) -> str:
        return f"{self.stage.layer}/date={self.date}/{', '.join(self.stage.files)}"


class SummaryTarget(luigi.Target):
    """The summary of a run. It exists only without errors, so a run that failed can be repeated."""

    def __init__(self, lake: Lake, as_of: datetime) -> None:
        self.lake, self.name = lake, summary_name(as_of)

    def read(self) -> Summary | None:
        """The summary, even with errors; None if the run has written none."""
        return summary(self.lake, self.name)

    def exists(self) -> bool:
        found = self.read()
        return found is not None and not found.errors

    def __str__(self) -> str:
        return self.name
