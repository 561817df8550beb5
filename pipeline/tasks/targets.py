"""What tasks make, as luigi targets: a partition, whole and fresh for this run, and a run's summary."""

from datetime import datetime

import luigi

from pipeline.contract import CURATED_STAGES, Stage
from pipeline.lake import Intent, Lake, may_be_stale, missing
from pipeline.observe.history import Summary, summary, summary_name


class PartitionTarget(luigi.Target):
    """One stage of one date. As part of a run, it is there although an order may be in two curated partitions.

    Whoever else writes a curated partition has to write those first; RunAll curates what is stale itself, after its
    tasks, whether or not some of them failed.
    """

    def __init__(self, lake: Lake, stage: Stage, date: str, intent: Intent, *, is_part: bool) -> None:
        self.lake, self.stage, self.date, self.intent, self.is_part = lake, stage, date, intent, is_part

    def exists(self) -> bool:
        return not self._lake_is_stale() and missing(self.lake, self.stage, self.date, self.intent) is None

    def _lake_is_stale(self) -> bool:
        return self.stage in CURATED_STAGES and not self.is_part and may_be_stale(self.lake)

    def __str__(self) -> str:
        return f"{self.stage.layer}/date={self.date}/{', '.join(self.stage.files)}"


class SummaryTarget(luigi.Target):
    """The summary of a run without errors: a run that failed is not complete, so it can be repeated."""

    def __init__(self, lake: Lake, as_of: datetime) -> None:
        self.lake, self.name = lake, summary_name(as_of)

    def read(self) -> Summary | None:
        """The summary, with or without errors; None when there is none."""
        return summary(self.lake, self.name)

    def exists(self) -> bool:
        found = self.read()
        return found is not None and not found.errors

    def __str__(self) -> str:
        return self.name
