"""What the manifests say of each date: its counts, whether it is whole and settled, and when it was built."""

from dataclasses import dataclass

from pipeline.contract import FACT_ORDER_STAGE, NORMALIZED_STAGE, UNDATED
from pipeline.lake.files import Lake
from pipeline.lake.freshness import settled
from pipeline.lake.run import Intent
from pipeline.observe.counts import Counts, counts_of, manifests


@dataclass(frozen=True)
class Partition:
    """One date. `id` changes with its rows and is None where they are not whole; `built_at` is a run's stamp."""

    date: str
    counts: Counts
    id: str | None
    settled: bool
    built_at: str
    because: str


def partitions(lake: Lake, intent: Intent) -> list[Partition]:
    """Every date that is in some layer of the lake, sorted; not the undated records."""
    dates = set(lake.partitions("raw")).union(lake.partitions("normalized"), lake.partitions("curated")) - {UNDATED}
    return [_partition(lake, date, intent) for date in sorted(dates)]


def _partition(lake: Lake, date: str, intent: Intent) -> Partition:
    found = manifests(lake, date)
    fact = found[FACT_ORDER_STAGE]
    whole = all(lake.whole(manifest) for manifest in found.values())
    return Partition(
        date,
        counts_of(found),
        f"{found[NORMALIZED_STAGE]['id']} {fact['id']}" if whole else None,
        whole and settled(lake, date, intent),
        fact.get("as_of", ""),
        fact.get("because", ""),
    )
