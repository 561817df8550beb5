"""What partitions and runs count. Counted from files, since a worker's memory ends with its process."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.contract import CURATED_STAGES, FACT_ORDER_STAGE, RAW_STAGE, STAGES, UNDATED
from pipeline.dates import is_date
from pipeline.lake import CuratedManifest, Intent, Lake, dropped, failure, still_open

Counts = dict[str, Any]


@dataclass(frozen=True)
class Counted:
    """One date and what its manifests count."""

    date: str
    counts: Counts

    def count(self, name: str) -> int:
        return int(self.counts.get(name, 0))

    @property
    def reasons(self) -> dict[str, int]:
        """Discarded records by reason."""
        return discards([self.counts])

    @property
    def discarded(self) -> int:
        return sum(self.reasons.values())

    def totals(self) -> dict[str, Any]:
        """The figures that law 1 adds up."""
        keys = ("extracted", "normalized", "superseded_here", "kept", "superseded_elsewhere")
        return {"date": self.date, **{key: self.count(key) for key in keys}, "discarded": self.discarded}


@dataclass(frozen=True)
class PartitionCounts(Counted):
    """One date: its counts, which stages this run built and why, and the error that stopped it, if one did."""

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

    @property
    def outcome(self) -> str:
        return outcome(self.built, self.error)


def counts_of(lake: Lake, date: str) -> Counts:
    """What a date's manifests count together."""
    manifests = (lake.raw(date), lake.normalized(date), lake.curated(FACT_ORDER_STAGE, date))
    counts: Counts = {}
    for manifest in manifests:
        counts |= msgspec.to_builtins(manifest.counts) if manifest is not None else {}
    return counts


def undated(lake: Lake, intent: Intent) -> Counts:
    """The counts of the undated partition and whether this run made it; empty when there is none."""
    manifest = lake.raw(UNDATED)
    if manifest is None:
        return {}
    changes = msgspec.to_builtins(manifest.changes) if manifest.changes is not None else {}
    is_built = manifest.as_of == intent.stamp
    is_told = manifest.counts.extracted or (is_built and any(changes.values()))
    return msgspec.to_builtins(manifest.counts) | changes | {"built": is_built} if is_told else {}


def discards(counted: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Discarded records by reason, over all of these counts; sorted by reason."""
    total: dict[str, int] = {}
    for counts in counted:
        for reason, count in counts.get("discarded", {}).items():
            total[reason] = total.get(reason, 0) + count
    return dict(sorted(total.items()))


def partition_counts(lake: Lake, date: str, intent: Intent) -> PartitionCounts:
    built: dict[str, str] = {}
    failures = []
    raw = lake.raw(date)
    api = dict(raw.api or {}) if raw is not None and raw.as_of == intent.stamp else {}
    any_failed = lake.files.has(intent.failures)
    for stage in STAGES:
        manifest = lake.manifest(stage, date)
        if manifest is not None and manifest.as_of == intent.stamp:
            built[stage.name] = manifest.because
        failed = lake.files.read(failure(stage, date, intent)) if any_failed else None
        if failed is not None:
            failures.append(failed)
            api |= failed["api"]
    first = failures[0] if failures else {"error": None, "kind": None}
    return PartitionCounts(
        date,
        counts_of(lake, date),
        built,
        first["error"],
        first["kind"],
        api,
        dropped(lake, date),
        still_open(lake, date, intent),
    )


def touched(lake: Lake, intent: Intent) -> list[PartitionCounts]:
    """Every partition of the lake with a curated file that was made in this run."""
    return [
        partition_counts(lake, date, intent)
        for date in lake.partitions("curated")
        if any(made is not None and made.as_of == intent.stamp for made in _tables(lake, date))
    ]


def _tables(lake: Lake, date: str) -> list[CuratedManifest | None]:
    return [lake.curated(stage, date) for stage in CURATED_STAGES]


def failed_dates(lake: Lake, intent: Intent) -> list[str]:
    """The dates of which something failed in this run, whether or not it was asked for them."""
    names = [os.path.basename(name)[:10] for name in lake.files.names(intent.failures)]
    return sorted(set(filter(is_date, names)))


def asked(counted: Iterable[Mapping[str, int]]) -> dict[str, Any]:
    """What asking an API took in all; empty when none was asked."""
    total = sum((Counter(counts) for counts in counted), Counter[str]())
    retries = {kind: total.pop(kind) for kind in sorted(total) if kind not in ("pages", "requests", "restarts")}
    figures = {kind: total[kind] for kind in ("pages", "requests", "restarts")}
    return {**figures, "retries": retries} if total else {}


def outcome(built: Mapping[str, str], error: str | None) -> str:
    """What became of a date in a run: failed, built, unchanged (asked again, with the same content) or skipped."""
    if error:
        return "failed"
    return "built" if built.keys() - {RAW_STAGE.name} else "unchanged" if built else "skipped"


def results(summary: Mapping[str, Any]) -> dict[str, int]:
    """How many dates a run built, skipped, and failed to build; an unchanged date counts as built."""
    found = Counter(outcome(date["built"], date["error"]) for date in summary["dates"].values())
    return {"built": found["built"] + found["unchanged"], "skipped": found["skipped"], "failed": found["failed"]}


def built_counts(summary: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """How many records the partitions hold that a run built, by what became of them, and the discarded by reason.

    Of the undated partition, which keeps what earlier dumps had, those that this run's dump has added.
    """
    built = [date for date in summary["dates"].values() if date.get("built")]
    if summary["undated"].get("built"):
        added = summary["undated"].get("added", {})
        built.append({"extracted": sum(added.values()), "discarded": added})
    keys = ("extracted", "kept", "superseded_here", "superseded_elsewhere")
    return {key: sum(date.get(key, 0) for date in built) for key in keys}, discards(built)
