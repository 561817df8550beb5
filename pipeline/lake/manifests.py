"""The types of manifests, by stage, and the ids in them. A manifest commits the files of a stage of a date."""

import hashlib
from typing import Annotated, Any, TypeVar

import msgspec

Date = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
# a moment in UTC as text; stamps sort like their instants
Stamp = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
# an exact DECIMAL with the 4 decimals that money has
Money = Annotated[str, msgspec.Meta(pattern=r"^-?\d+\.\d{4}$")]
AnyManifest = TypeVar("AnyManifest", bound="Manifest")
# the smallest and the largest order_id of a table; empty without orders, UNSET if they are not known
Bounds = Annotated[list[str], msgspec.Meta(max_length=2)] | msgspec.UnsetType


class Tombstone(msgspec.Struct):
    """Why and when a date was dropped."""

    reason: str
    at: Stamp


class Segment(msgspec.Struct):
    """Adjacent records of the undated partition that one dump brought. The dump speaks for `answers_as_of`.

    `fields` has the texts of the map that the dump was read with; UNSET if there was no map.
    """

    records: Count
    answers_as_of: Stamp
    fields: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Judged(msgspec.Struct):
    """Whether the map with the digest `map` fits the dump of the records. `fault` is empty if the map fits."""

    map: str
    fault: str


class RawCounts(msgspec.Struct):
    """How many records are landed. `discarded` counts, by reason, those of the undated partition: all are discarded."""

    extracted: Count = 0
    discarded: dict[str, Count] | msgspec.UnsetType = msgspec.UNSET


SomeOrNone = Count | msgspec.UnsetType


class FieldCounts(msgspec.Struct, omit_defaults=True):
    """How many values of a field are accepted, absent (or null), and unreadable by the contract.

    `first` is the order_id of the first unreadable value. The field `items` has one value per order: its lines.
    """

    accepted: Count = 0
    absent: Count = 0
    unreadable: Count = 0
    first: str = ""


class NormalizedCounts(msgspec.Struct):
    """The counts of a normalized partition: extracted = normalized + superseded_here + discarded (by reason).

    `lines` counts the rows of items. `excluded_here` counts the orders that the map excludes, `excluded_lines` their
    lines, and `dropped_items` the items of other orders that are not objects; each is UNSET if there are none.
    `fields` has the fields with values that are not accepted.
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
    """The counts of a curated table: the orders of the normalized partition = kept + superseded_elsewhere + excluded.

    `resurfaced` counts the kept orders that the date did not keep before. `rows` counts the rows of the file.
    `amounts` has the sums of the kept orders' amounts by currency, "" for no currency. Only fact_order has `amounts`.
    Earlier versions have not written them.
    """

    kept: Count = 0
    superseded_elsewhere: Count = 0
    excluded: SomeOrNone = msgspec.UNSET
    resurfaced: Count = 0
    rows: Count = 0
    amounts: dict[str, Money] | msgspec.UnsetType = msgspec.UNSET


class UndatedChanges(msgspec.Struct):
    """What the last run changed in the undated partition.

    `added` counts new records by reason, `dated` the records that left because the dump has them with a date, and
    `expired` the records that left after undated_days.
    """

    added: dict[str, Count] = {}
    dated: Count = 0
    expired: Count = 0


class Manifest(msgspec.Struct, kw_only=True):
    """The fields of every manifest. If id is null, a run was killed, and the other fields may not match the files.

    `as_of` is the stamp of the run that wrote the manifest, `because` the reason for that build. `files` has the size
    in bytes of each file by its name in the lake, except that of the key file. `hashes` has the sha256 of each Parquet
    file and of the key file. Earlier versions have not written hashes.
    """

    id: str | None
    as_of: Stamp = ""
    because: str = ""
    files: dict[str, Count] = {}
    hashes: dict[str, str] | msgspec.UnsetType = msgspec.UNSET

    def hash_of(self, name: str) -> str | None:
        """The sha256 with which a file was published; None if it is not known."""
        return self.hashes.get(name) if self.hashes else None


class RawManifest(Manifest, kw_only=True):
    """A raw partition.

    `asked_at` is the stamp of the run that last asked the source for the date. `answers_as_of` is the moment that the
    answer speaks for: later changes of the source are not in it. For a dump it is when the dump was written; for an
    API it is when the oldest page was asked for. Lakes of older versions have `extracted_at` for both.
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
    # --accept-fields was given: these records are not refused, whatever the map finds in them
    accepts_fields: bool | None = None
    dropped: Tombstone | None = None
    erasing: str | None = None
    erased_from: str | None = None
    # the undated partition only: segments by the sha256 of the content, and the ids of the dump parts merged into it
    segments: dict[str, list[Segment]] | None = None
    changes: UndatedChanges | None = None
    taken_in: dict[str, Stamp] | None = None

    def __post_init__(self) -> None:
        self.asked_at = self.asked_at or self.extracted_at
        self.answers_as_of = self.answers_as_of or self.extracted_at
        self.extracted_at = ""


class NormalizedManifest(Manifest, kw_only=True):
    """A normalized partition. `neighbours` are the dates that share an order_id with it.

    Earlier versions have not written `order_ids`.
    """

    made_from: str = ""
    order_ids: Bounds = msgspec.UNSET
    logic_version: int | str = ""
    generation: Count = 0
    neighbours: list[Date] = []
    counts: NormalizedCounts = msgspec.field(default_factory=NormalizedCounts)


class CuratedManifest(Manifest, kw_only=True):
    """One curated table of a date. `superseded` has, by order_id, versions that lose to a later one on another date.

    Only fact_order has `order_ids`. Earlier versions have not written them.
    """

    made_from: str = ""
    order_ids: Bounds = msgspec.UNSET
    superseded: dict[str, str] = {}
    counts: CuratedCounts = msgspec.field(default_factory=CuratedCounts)


class DimensionCounts(msgspec.Struct):
    """How many rows a dimension has, and how many rows of its CSV were discarded."""

    rows: Count = 0
    discarded: Count = 0


class DimensionsManifest(Manifest, kw_only=True):
    """The dimensions. `made_from` has the sha256 of each dimension's CSV; `warehouse` is the path of the warehouse."""

    warehouse: str = ""
    made_from: dict[str, str] = {}
    counts: dict[str, DimensionCounts] = {}


_MADE = ("as_of", "because", "files", "counts", "made_from")
# the fields that a manifest with an id must have
REQUIRED: dict[type[Manifest], tuple[str, ...]] = {
    RawManifest: ("as_of", "because", "files", "counts"),
    NormalizedManifest: (*_MADE, "logic_version", "generation", "neighbours"),
    CuratedManifest: _MADE,
    DimensionsManifest: ("files", "counts", "made_from", "warehouse"),
}


def decoded(kind: type[AnyManifest], content: dict[str, Any]) -> AnyManifest:
    """The manifest of a JSON object. Raises ValueError with what is wrong with the object's shape."""
    # older versions wrote null for unknown values
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
    """The JSON object of a manifest. Fields without a value are left out; `id` is always written."""
    content: dict[str, Any] = msgspec.to_builtins(manifest)
    return {name: value for name, value in content.items() if name == "id" or value not in (None, "")}


def raw_id(digest: str, future_updates: int = 0) -> str:
    """The id of raw records: the sha256 of their bytes, plus the number of updated_at in the future, if not 0.

    When such an updated_at is no longer in the future, the same bytes give other rows, so they get another id.
    """
    return f"{digest}-{future_updates}" if future_updates else digest


EMPTY_ID = raw_id(hashlib.sha256().hexdigest())


def is_raw(found: str, data: bytes) -> bool:
    """Whether the raw id `found` belongs to these bytes."""
    return is_id_of(found, hashlib.sha256(data).hexdigest())


def is_id_of(found: str, digest: str) -> bool:
    """Whether the raw id `found` belongs to bytes with this sha256."""
    return found.partition("-")[0] == digest


def normalized_id(manifest: NormalizedManifest) -> str:
    """The id of a normalized partition: a hash of the raw id, the logic version and the generation."""
    source = f"{manifest.made_from} {manifest.logic_version} {manifest.generation}"
    return hashlib.sha256(source.encode()).hexdigest()
