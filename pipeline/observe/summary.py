"""The making of a run's summary."""

from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict

from pipeline.errors import RetriesExhausted
from pipeline.observe.counts import PartitionCounts, asked
from pipeline.observe.history import Options, Summary


def summarize(partitions: list[PartitionCounts], options: Options, **of_run: Any) -> Summary:
    """The summary of a run. `of_run` has the fields that do not come from the dates or the options."""
    changed = options.changes.api if options.changes else UNSET
    return Summary(
        **asdict(options),
        **of_run,
        dates={part.date: part.summary for part in partitions},
        api=asked([*(part.api for part in partitions), changed or {}]),
        currencies=sorted({currency for part in partitions for currency in part.summary.currencies or []}),
        failed={part.date: part.summary.error for part in partitions if part.summary.error},
        retries_exhausted=[part.date for part in partitions if part.kind == RetriesExhausted.__name__],
    )
