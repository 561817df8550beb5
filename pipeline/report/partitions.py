"""The facts about each date from its manifests: counts, whether it is whole and settled, and when it was built."""

from dataclasses import dataclass

from pipeline.contract import FACT_ORDER_STAGE, STAGES, UNDATED
from pipeline.lake import Intent, Lake, settled
from pipeline.observe.counts import Counts, counts_of


@dataclass(frozen=True)
class Partition:
    """One date. `id` changes when the rows change; it is None if the date is not whole. `built_at` is a run's stamp."""

    date: str
    counts: Counts
    id: str | None
    settled: bool
    built_at: str
    because: str


def partitions(lake: Lake, intent: Intent) -> list[Partition]:
    """Every date that is in a layer of the lake, sorted. The undated records are not included."""
    dates = set(lake.partitions("raw")).union(lake.partitions("normalized"), lake.partitions("curated")) - {UNDATED}
    return [_partition(lake, date, intent) for date in sorted(dates)]


def _partition(lake: Lake, date: str, intent: Intent) -> Partition:
    normalized, fact = lake.normalized(date), lake.curated(FACT_ORDER_STAGE, date)
    whole = all(lake.is_whole(stage, date) for stage in STAGES)
    return Partition(
        date,
        counts_of(lake.raw(date), normalized, fact),
        f"{normalized.id} {fact.id}" if whole and normalized is not None and fact is not None else None,
        whole and settled(lake, date, intent),
        fact.as_of if fact is not None else "",
        fact.because if fact is not None else "",
    )
