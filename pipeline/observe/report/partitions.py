"""What the manifests say of each date: the counts of law 1, whether it is whole and settled, and when it was built."""

from dataclasses import dataclass
from typing import Any

from pipeline.contract import CURATED_STAGES, FACT_ORDER_STAGE, NORMALIZED_STAGE, RAW_STAGE, UNDATED
from pipeline.freshness import Intent, settled
from pipeline.storage import Lake


@dataclass(frozen=True)
class Partition:
    """One date. `id` changes with its rows and is None where they are not whole; `built_at` is a run's stamp."""

    date: str
    id: str | None
    settled: bool
    built_at: str
    because: str
    counts: dict[str, Any]

    def count(self, name: str) -> int:
        return int(self.counts.get(name, 0))

    @property
    def reasons(self) -> dict[str, int]:
        """How many records are in quarantine, by reason."""
        return dict(self.counts.get("discarded", {}))

    @property
    def discarded(self) -> int:
        return sum(self.reasons.values())


def partitions(lake: Lake, intent: Intent) -> list[Partition]:
    """Every date that is in some layer of the lake, sorted; not the undated records."""
    dates = set(lake.partitions("raw")).union(lake.partitions("normalized"), lake.partitions("curated")) - {UNDATED}
    return [_partition(lake, date, intent) for date in sorted(dates)]


def undated(lake: Lake) -> dict[str, Any]:
    """The counts of the records without a date."""
    counts: dict[str, Any] = (lake.manifest(RAW_STAGE, UNDATED) or {}).get("counts", {})
    return counts


def _partition(lake: Lake, date: str, intent: Intent) -> Partition:
    manifests = {stage: lake.manifest(stage, date) or {} for stage in (RAW_STAGE, NORMALIZED_STAGE, *CURATED_STAGES)}
    fact = manifests[FACT_ORDER_STAGE]
    whole = all(lake.whole(manifest) for manifest in manifests.values())
    counts: dict[str, Any] = {}
    for stage in (RAW_STAGE, NORMALIZED_STAGE, FACT_ORDER_STAGE):
        counts |= manifests[stage].get("counts", {})
    return Partition(
        date,
        f"{manifests[NORMALIZED_STAGE]['id']} {fact['id']}" if whole else None,
        whole and settled(lake, date, intent),
        fact.get("as_of", ""),
        fact.get("because", ""),
        counts,
    )
