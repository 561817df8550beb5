"""What a manifest must hold to count as one, by stage; and the ids of raw records."""

import hashlib
from typing import Annotated, Any

import msgspec

Date = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
Stamp = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Tombstone(msgspec.Struct):
    """Why and when a date was dropped."""

    reason: str
    at: Stamp


class Segment(msgspec.Struct):
    """Neighbouring records of the undated partition that came with one dump, which speaks for `answers_as_of`."""

    records: Count
    answers_as_of: Stamp


class Manifest(msgspec.Struct, kw_only=True):
    """What all manifests have. With id null, as a run leaves it that is killed, the rest may be of another content."""

    id: str | None
    as_of: Stamp | None = None
    because: str | None = None
    made_from: str | None = None
    files: dict[str, Count] = {}


class RawManifest(Manifest, kw_only=True):
    """A raw partition. `extracted_at` is both of the moments in lakes of before."""

    asked_at: Stamp | None = None
    answers_as_of: Stamp | None = None
    extracted_at: Stamp | None = None
    counts: dict[str, Any] = {}
    fields: dict[str, str] | None = None
    api: dict[str, Count] | None = None
    plain_by: int | None = None
    dropped: Tombstone | None = None
    erasing: str | None = None
    erased_from: str | None = None
    segments: dict[str, list[Segment]] = {}
    changes: dict[str, Any] = {}
    taken_in: dict[str, Stamp] = {}


class NormalizedManifest(Manifest, kw_only=True):
    """A normalized partition."""

    logic_version: int | str | None = None
    generation: Count | None = None
    neighbours: list[Date] = []
    counts: dict[str, Any] = {}


class CuratedManifest(Manifest, kw_only=True):
    """One curated table of a date."""

    superseded: dict[str, str] = {}
    counts: dict[str, Count] = {}


TYPES = {
    "raw": RawManifest,
    "normalized": NormalizedManifest,
    "fact_order": CuratedManifest,
    "order_items": CuratedManifest,
}
# what a manifest that commits to something has at least, beside its id
REQUIRED = {
    "raw": ("as_of", "because", "files", "counts"),
    "normalized": ("as_of", "because", "files", "counts", "made_from", "logic_version", "generation", "neighbours"),
    "fact_order": ("as_of", "because", "files", "counts", "made_from"),
    "order_items": ("as_of", "because", "files", "counts", "made_from"),
}


def fault(stage: str, content: dict[str, Any]) -> str | None:
    """What is wrong with the shape of a stage's manifest; None when nothing is."""
    try:
        msgspec.convert(content, TYPES[stage])
    except msgspec.ValidationError as error:
        return f"no manifest of {stage}: {error}"
    lacking = [name for name in REQUIRED[stage] if content["id"] is not None and content.get(name) is None]
    if stage == "raw" and content["id"] is not None and content.get("extracted_at") is None:
        lacking += [name for name in ("asked_at", "answers_as_of") if content.get(name) is None]
    return f"no manifest of {stage}: it has no {', '.join(lacking)}" if lacking else None


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
