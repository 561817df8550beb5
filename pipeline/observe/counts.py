"""What the manifests say of a partition. Counted from files, since a worker's memory ends with its process."""

from dataclasses import dataclass
from typing import Any

from pipeline.contract import CURATED_STAGES, FACT_ORDER_STAGE, NORMALIZED_STAGE, RAW_STAGE, STAGES
from pipeline.freshness import Intent, failure
from pipeline.storage import Lake


@dataclass(frozen=True)
class PartitionCounts:
    """One date: its counts, which stages this run built and why, and the error that stopped it, if one did."""

    date: str
    counts: dict[str, Any]
    built: dict[str, str]
    error: str | None

    def totals(self) -> dict[str, Any]:
        """The figures that law 1 adds up."""
        keys = ("extracted", "normalized", "superseded_here", "kept", "superseded_elsewhere")
        figures = {key: int(self.counts.get(key, 0)) for key in keys}
        return {"date": self.date, **figures, "discarded": sum(self.counts.get("discarded", {}).values())}


def partition_counts(lake: Lake, date: str, intent: Intent) -> PartitionCounts:
    counts: dict[str, Any] = {}
    built: dict[str, str] = {}
    errors = []
    any_failed = lake.has(intent.failures)
    for stage in STAGES:
        manifest = lake.manifest(stage, date) or {}
        if stage in (RAW_STAGE, NORMALIZED_STAGE, FACT_ORDER_STAGE):
            counts |= manifest.get("counts", {})
        if manifest.get("as_of") == intent.stamp:
            built[stage.name] = manifest["because"]
        failed = lake.read(failure(stage, date, intent)) if any_failed else None
        if failed is not None:
            errors.append(failed["error"])
    return PartitionCounts(date, counts, built, errors[0] if errors else None)


def touched(lake: Lake, intent: Intent) -> list[PartitionCounts]:
    """Every partition of the lake with a curated file that was made in this run."""
    return [
        partition_counts(lake, date, intent)
        for date in lake.partitions("curated")
        if any((lake.manifest(stage, date) or {}).get("as_of") == intent.stamp for stage in CURATED_STAGES)
    ]
