"""Counts of partitions, and their outcome in a run. They are read from files, because workers are processes."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from pipeline.contract import CURATED_STAGES, RAW_STAGE, STAGES, UNDATED
from pipeline.dates import is_date
from pipeline.lake import (
    CuratedManifest,
    FieldCounts,
    Intent,
    Lake,
    NormalizedManifest,
    RawManifest,
    failure_file,
    why_still_open,
)

Count = int | UnsetType


# gc=False saves time: the report holds thousands of dates, and none can be part of a reference cycle
class Counts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The counts in the manifests of a partition. An absent count is UNSET, which is falsy and is not written."""

    # records: landed; discarded, by reason; newest versions of orders; older versions on the same date
    extracted: Count = UNSET
    discarded: dict[str, int] | UnsetType = UNSET
    normalized: Count = UNSET
    superseded_here: Count = UNSET
    # orders with a later version on another date; orders that this date keeps
    superseded_elsewhere: Count = UNSET
    kept: Count = UNSET
    # orders that the map excludes; their lines; those of these orders that no other date has a later version of
    excluded_here: Count = UNSET
    excluded_lines: Count = UNSET
    excluded: Count = UNSET
    # kept orders that the date did not keep before
    resurfaced: Count = UNSET
    # rows of normalized items, and of fact_order
    lines: Count = UNSET
    rows: Count = UNSET
    # the sums of the kept orders' amounts by currency, "" for none, with 4 decimals
    amounts: dict[str, str] | UnsetType = UNSET
    currencies: list[str] | UnsetType = UNSET
    # the fields with values that are not accepted; the number of items that are not objects
    fields: dict[str, FieldCounts] | UnsetType = UNSET
    dropped_items: Count = UNSET


class DateSummary(Counts, frozen=True, kw_only=True, gc=False):
    """One date in a run: its counts, the stages that the run built with the reason of each, and its error, if any."""

    built: dict[str, str]
    error: str | None
    skipped: bool = False
    # why the date was dropped on purpose
    dropped: str | UnsetType = UNSET
    # why the landed records of the date are not settled
    open: str | UnsetType = UNSET

    @property
    def outcome(self) -> str:
        """The outcome: failed, built, unchanged (extracted again with the same content) or skipped."""
        if self.error:
            return "failed"
        return "built" if self.built.keys() - {RAW_STAGE.name} else "unchanged" if self.built else "skipped"


class UndatedSummary(Counts, frozen=True, kw_only=True):
    """The undated records in a run: how many came and left, and whether the run built the partition."""

    added: dict[str, int] | UnsetType = UNSET
    dated: Count = UNSET
    expired: Count = UNSET
    built: bool | UnsetType = UNSET


class Asked(msgspec.Struct, frozen=True):
    """Requests to an API: pages, requests, windows read again, retries by kind. UNSET if no API was asked."""

    pages: Count = UNSET
    requests: Count = UNSET
    restarts: Count = UNSET
    retries: dict[str, int] | UnsetType = UNSET


class Totals(NamedTuple):
    """The sums of law 1's figures over some partitions, and of their rows of fact_order."""

    # discarded records by reason, sorted
    reasons: dict[str, int]
    extracted: int
    normalized: int
    superseded_here: int
    superseded_elsewhere: int
    excluded: int
    kept: int
    rows: int

    @property
    def discarded(self) -> int:
        return sum(self.reasons.values())

    @property
    def named_reasons(self) -> list[str]:
        """The discarded records by reason, for people."""
        return [f"{count:,} {reason}" for reason, count in self.reasons.items()]


def totals(counted: Iterable[Counts]) -> Totals:
    """The sums of the counts of some partitions; 0 without partitions."""
    parts = list(counted)
    reasons = sum((Counter(part.discarded or {}) for part in parts), Counter[str]())
    sums = [sum(getattr(part, name) or 0 for part in parts) for name in Totals._fields[1:]]
    return Totals(dict(sorted(reasons.items())), *sums)


@dataclass(frozen=True)
class PartitionCounts:
    """One date at the end of a run."""

    date: str
    summary: DateSummary
    # the error's class
    kind: str | None
    # pages, requests, restarts and retries by kind that this run needed to ask an API for the date
    api: dict[str, int]


def counts_of(*manifests: RawManifest | NormalizedManifest | CuratedManifest | None) -> Counts:
    """The counts of the manifests of a date, from raw to fact_order."""
    found: dict[str, Any] = {}
    for manifest in manifests:
        found |= asdict(manifest.counts) if manifest is not None and manifest.id is not None else {}
    return Counts(**found)


def undated(lake: Lake, intent: Intent) -> UndatedSummary:
    """The undated records after a run; all UNSET if there are none and none have left."""
    manifest = lake.raw(UNDATED)
    if manifest is None:
        return UndatedSummary()
    changes = asdict(manifest.changes) if manifest.changes is not None else {}
    is_built = manifest.as_of == intent.stamp
    is_told = manifest.counts.extracted or (is_built and any(changes.values()))
    return UndatedSummary(**asdict(manifest.counts), **changes, built=is_built) if is_told else UndatedSummary()


def partition_counts(lake: Lake, date: str, intent: Intent) -> PartitionCounts:
    raw, normalized = lake.raw(date), lake.normalized(date)
    fact, items = _tables(lake, date)
    found = dict(zip(STAGES, (raw, normalized, fact, items), strict=True))
    made = {stage: manifest for stage, manifest in found.items() if manifest and manifest.as_of == intent.stamp}
    failures = _failures(lake, date, intent) if lake.files.has(intent.failures) else []
    api = dict(raw.api or {}) if raw is not None and RAW_STAGE in made else {}
    for failed in failures:
        api |= failed["api"]
    first = failures[0] if failures else {"error": None, "kind": None}
    summary = DateSummary(
        **asdict(counts_of(raw, normalized, fact)),
        built={stage.name: manifest.because for stage, manifest in made.items()},
        error=first["error"],
        skipped=not made and not first["error"],
        dropped=raw.dropped.reason if raw is not None and raw.dropped else UNSET,
        open=why_still_open(raw, date, intent) or UNSET,
    )
    return PartitionCounts(date, summary, first["kind"], api)


def _failures(lake: Lake, date: str, intent: Intent) -> list[dict[str, Any]]:
    """The failures of a date in this run, in the order of the stages."""
    notes = (lake.files.read(failure_file(stage, date, intent)) for stage in STAGES)
    return [note for note in notes if note is not None]


def touched(lake: Lake, intent: Intent) -> list[PartitionCounts]:
    """Every partition of the lake with a curated file that this run wrote."""
    return [
        partition_counts(lake, date, intent)
        for date in lake.partitions("curated")
        if any(made is not None and made.as_of == intent.stamp for made in _tables(lake, date))
    ]


def _tables(lake: Lake, date: str) -> list[CuratedManifest | None]:
    return [lake.curated(stage, date) for stage in CURATED_STAGES]


def failed_dates(lake: Lake, intent: Intent) -> list[str]:
    """The dates with a failure in this run, also dates outside its range."""
    names = [os.path.basename(name)[:10] for name in lake.files.names(intent.failures)]
    return sorted(set(filter(is_date, names)))


def asked(counted: Iterable[Mapping[str, int]]) -> Asked:
    """The sums of the requests and retries."""
    total = sum((Counter(counts) for counts in counted), Counter[str]())
    if not total:
        return Asked()
    retries = {kind: total[kind] for kind in sorted(total) if kind not in Asked.__struct_fields__}
    return Asked(total["pages"], total["requests"], total["restarts"], retries)
