"""What manifests hold, by stage, and the ids of raw records. A manifest commits its stage of a date to its files."""

import hashlib
from typing import Annotated, Any, TypeVar

import msgspec

Date = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
# a moment in UTC; it sorts like the instant
Stamp = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
# an exact DECIMAL with the 4 decimals that money has
Money = Annotated[str, msgspec.Meta(pattern=r"^-?\d+\.\d{4}$")]
AnyManifest = TypeVar("AnyManifest", bound="Manifest")


class Tombstone(msgspec.Struct):
    """Why and when a date was dropped."""

    reason: str
    at: Stamp


class Segment(msgspec.Struct):
    """Neighbouring records of the undated partition that came with one dump, which speaks for `answers_as_of`.

    `fields` has the texts of the map by which the dump was read, if there was one.
    """

    records: Count
    answers_as_of: Stamp
    fields: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Judged(msgspec.Struct):
    """Whether the map of this digest fits the dump that the records came with; `fault` is empty if it does."""

    map: str
    fault: str


class RawCounts(msgspec.Struct):
    """The records landed; those of the undated partition are all discarded, here by reason."""

    extracted: Count = 0
    discarded: dict[str, Count] | msgspec.UnsetType = msgspec.UNSET


SomeOrNone = Count | msgspec.UnsetType


class FieldCounts(msgspec.Struct, omit_defaults=True):
    """How many values of a field were accepted, were not there or null, and could not be read as the contract says.

    `first` is the order_id of the first unreadable one. Of `items` an order's lines are one value, absent without any.
    """

    accepted: Count = 0
    absent: Count = 0
    unreadable: Count = 0
    first: str = ""


class NormalizedCounts(msgspec.Struct):
    """Of the records of a raw partition: orders in their newest version, older versions, discarded by reason; lines.

    Where there are any: orders that the map excludes and their lines, and of the others the items that are no objects.
    `fields` has the fields of which not all values were accepted.
    """

    extracted: Count = 0
    normalized: Count = 0
    superseded_here: Count = 0
    discarded: dict[str, Count] = {}
    lines: Count = 0
    currencies: list[str] = []
    excluded_here: SomeOrNone = msgspec.UNSET
    excluded_lines: SomeOrNone = msgspec.UNSET
    dropped_items: SomeOrNone = msgspec.UNSET
    fields: dict[str, FieldCounts] | msgspec.UnsetType = msgspec.UNSET


class CuratedCounts(msgspec.Struct):
    """Of the orders of a normalized partition: kept, kept by another date, and of the rest those that are excluded.

    `rows` are those of the file. `amounts` are the sums of the kept orders' amounts by currency, "" for none. Only
    fact_order has `amounts`, and earlier versions have not written them.
    """

    kept: Count = 0
    superseded_elsewhere: Count = 0
    excluded: SomeOrNone = msgspec.UNSET
    resurfaced: Count = 0
    rows: Count = 0
    amounts: dict[str, Money] | msgspec.UnsetType = msgspec.UNSET


class UndatedChanges(msgspec.Struct):
    """What the last run did to the undated partition: records added by reason, found under a date, and expired."""

    added: dict[str, Count] = {}
    dated: Count = 0
    expired: Count = 0


class Manifest(msgspec.Struct, kw_only=True):
    """What all manifests have. With id null, as a run leaves it that is killed, the rest may be of another content.

    `as_of` is the stamp of the run that wrote it, `files` has the bytes of each file by its name in the lake.
    """

    id: str | None
    as_of: Stamp = ""
    because: str = ""
    files: dict[str, Count] = {}


class RawManifest(Manifest, kw_only=True):
    """A raw partition.

    `asked_at` is the stamp of the run that last asked the source for it. `answers_as_of` is the moment that it speaks
    for: later changes of the source are not in it. Of a dump it is when the dump was written, of an API when the oldest
    of its pages was asked for. Lakes of older versions have `extracted_at` for both.
    """

    asked_at: Stamp = ""
    answers_as_of: Stamp = ""
    extracted_at: Stamp = ""
    counts: RawCounts = msgspec.field(default_factory=RawCounts)
    made_from: str | None = None
    fields: dict[str, str] | None = None
    api: dict[str, Count] | None = None
    plain_by: int | None = None
    judged: Judged | None = None
    # whether --accept-fields was given: then no map is too wrong for it
    accepts_fields: bool | None = None
    dropped: Tombstone | None = None
    erasing: str | None = None
    erased_from: str | None = None
    # of the undated partition: its segments by the sha256 of its content, and the parts of dumps that it has taken in
    segments: dict[str, list[Segment]] | None = None
    changes: UndatedChanges | None = None
    taken_in: dict[str, Stamp] | None = None

    def __post_init__(self) -> None:
        self.asked_at = self.asked_at or self.extracted_at
        self.answers_as_of = self.answers_as_of or self.extracted_at
        self.extracted_at = ""


class NormalizedManifest(Manifest, kw_only=True):
    """A normalized partition. `neighbours` are the dates that share an order_id with it."""

    made_from: str = ""
    logic_version: int | str = ""
    generation: Count = 0
    neighbours: list[Date] = []
    counts: NormalizedCounts = msgspec.field(default_factory=NormalizedCounts)


class CuratedManifest(Manifest, kw_only=True):
    """One curated table of a date. `superseded` has the versions, by order_id, that another date has a later one of."""

    made_from: str = ""
    superseded: dict[str, str] = {}
    counts: CuratedCounts = msgspec.field(default_factory=CuratedCounts)


class DimensionCounts(msgspec.Struct):
    """The rows of a dimension, and the rows of its CSV that were discarded."""

    rows: Count = 0
    discarded: Count = 0


class DimensionsManifest(Manifest, kw_only=True):
    """The dimensions, by name: the sha256 of the CSV that each was made from, its rows; and the warehouse's path."""

    warehouse: str = ""
    made_from: dict[str, str] = {}
    counts: dict[str, DimensionCounts] = {}


_MADE = ("as_of", "because", "files", "counts", "made_from")
# what a manifest that commits to something has at least, beside its id
REQUIRED: dict[type[Manifest], tuple[str, ...]] = {
    RawManifest: ("as_of", "because", "files", "counts"),
    NormalizedManifest: (*_MADE, "logic_version", "generation", "neighbours"),
    CuratedManifest: _MADE,
    DimensionsManifest: ("files", "counts", "made_from", "warehouse"),
}


def decoded(kind: type[AnyManifest], content: dict[str, Any]) -> AnyManifest:
    """A manifest from the JSON of its file. Raises ValueError, which says what is wrong with its shape."""
    # older versions have written null for what is not known
    known = {name: value for name, value in content.items() if value is not None or name == "id"}
    manifest = msgspec.convert(known, kind)
    if manifest.id is not None:
        lacking = [name for name in REQUIRED[kind] if content.get(name) is None]
        if isinstance(manifest, RawManifest) and not manifest.asked_at:
            lacking.append("asked_at")
        if isinstance(manifest, RawManifest) and not manifest.answers_as_of:
            lacking.append("answers_as_of")
        if lacking:
            raise ValueError(f"it has no {', '.join(lacking)}")
    return manifest


def encoded(manifest: Manifest) -> dict[str, Any]:
    """The JSON of a manifest's file. A field without a value is left out; the id is always written."""
    content: dict[str, Any] = msgspec.to_builtins(manifest)
    return {name: value for name, value in content.items() if name == "id" or value not in (None, "")}


def raw_id(digest: str, future_updates: int = 0) -> str:
    """The id of raw records: the sha256 of their bytes, and how many updated_at are in the future, if any.

    Once one of these comes due, the same bytes mean something else, and so the id is another one.
    """
    return f"{digest}-{future_updates}" if future_updates else digest


EMPTY_ID = raw_id(hashlib.sha256().hexdigest())


def is_raw(found: str, data: bytes) -> bool:
    """Whether these are the bytes that the id of raw records stands for."""
    return is_id_of(found, hashlib.sha256(data).hexdigest())


def is_id_of(found: str, digest: str) -> bool:
    """Whether the id of raw records stands for bytes of this sha256."""
    return found.partition("-")[0] == digest


def normalized_id(manifest: NormalizedManifest) -> str:
    """What curated partitions name as their source: it changes with the raw id, the logic and the generation."""
    source = f"{manifest.made_from} {manifest.logic_version} {manifest.generation}"
    return hashlib.sha256(source.encode()).hexdigest()
