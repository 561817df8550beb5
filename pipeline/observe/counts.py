"""What the manifests say of a partition. Counted from files, since a worker's memory ends with its process."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.contract import CURATED_STAGES, FACT_ORDER_STAGE, NORMALIZED_STAGE, RAW_STAGE, STAGES
from pipeline.dates import is_date
from pipeline.freshness import Intent, dropped, failure, still_open
from pipeline.storage import Lake


@dataclass(frozen=True)
class PartitionCounts:
    """One date: its counts, which stages this run built and why, and the error that stopped it, if one did."""

    date: str
    counts: dict[str, Any]
    built: dict[str, str]
    error: str | None
    # the error's class
    kind: str | None
    # what asking an API for the date took in this run: pages, requests, restarts, and retries by kind
    api: dict[str, int]
    # why the date was dropped on purpose
    dropped: str | None = None
    # why what is landed of the date is not final
    open: str | None = None

    def totals(self) -> dict[str, Any]:
        """The figures that law 1 adds up."""
        keys = ("extracted", "normalized", "superseded_here", "kept", "superseded_elsewhere")
        figures = {key: int(self.counts.get(key, 0)) for key in keys}
        return {"date": self.date, **figures, "discarded": sum(self.counts.get("discarded", {}).values())}


def partition_counts(lake: Lake, date: str, intent: Intent) -> PartitionCounts:
    counts: dict[str, Any] = {}
    built: dict[str, str] = {}
    failures = []
    api: dict[str, int] = {}
    any_failed = lake.has(intent.failures)
    for stage in STAGES:
        manifest = lake.manifest(stage, date) or {}
        if stage in (RAW_STAGE, NORMALIZED_STAGE, FACT_ORDER_STAGE):
            counts |= manifest.get("counts", {})
        if manifest.get("as_of") == intent.stamp:
            built[stage.name] = manifest["because"]
            api |= manifest.get("api") or {}
        failed = lake.read(failure(stage, date, intent)) if any_failed else None
        if failed is not None:
            failures.append(failed)
            api |= failed["api"]
    first = failures[0] if failures else {"error": None, "kind": None}
    open_ = still_open(lake, date, intent)
    return PartitionCounts(date, counts, built, first["error"], first["kind"], api, dropped(lake, date), open_)


def touched(lake: Lake, intent: Intent) -> list[PartitionCounts]:
    """Every partition of the lake with a curated file that was made in this run."""
    return [
        partition_counts(lake, date, intent)
        for date in lake.partitions("curated")
        if any((lake.manifest(stage, date) or {}).get("as_of") == intent.stamp for stage in CURATED_STAGES)
    ]


def failed_dates(lake: Lake, intent: Intent) -> list[str]:
    """The dates of which something failed in this run, whether or not it was asked for them."""
    names = [os.path.basename(name)[:10] for name in lake.files(intent.failures)]
    return sorted(set(filter(is_date, names)))


def asked(counted: Iterable[Mapping[str, int]]) -> dict[str, Any]:
    """What asking an API took in all; empty when none was asked."""
    total = sum((Counter(counts) for counts in counted), Counter[str]())
    retries = {kind: total.pop(kind) for kind in sorted(total) if kind not in ("pages", "requests", "restarts")}
    figures = {kind: total[kind] for kind in ("pages", "requests", "restarts")}
    return {**figures, "retries": retries} if total else {}


def results(summary: Mapping[str, Any]) -> dict[str, int]:
    """How many dates a run built, skipped, and failed to build."""
    dates = summary["dates"].values()
    failed, skipped = len(summary["failed"]), sum(date["skipped"] for date in dates)
    return {"built": len(dates) - failed - skipped, "skipped": skipped, "failed": failed}


def built_counts(summary: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """How many records the partitions hold that a run built, by what became of them, and the discarded by reason.

    Of the undated partition, which keeps what earlier dumps had, those that this run's dump has added.
    """
    built = [date for date in summary["dates"].values() if date.get("built")]
    if summary["undated"].get("built"):
        added = summary["undated"].get("added", {})
        built.append({"extracted": sum(added.values()), "discarded": added})
    keys = ("extracted", "kept", "superseded_here", "superseded_elsewhere")
    orders = {key: sum(date.get(key, 0) for date in built) for key in keys}
    reasons: dict[str, int] = {}
    for date in built:
        for reason, count in date.get("discarded", {}).items():
            reasons[reason] = reasons.get(reason, 0) + count
    return orders, dict(sorted(reasons.items()))
