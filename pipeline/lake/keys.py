"""Key files: the orders of a table of one date as hashes. They rule a partition out without opening its table.

A key file has the 64-bit hashes of the table's order_ids, sorted, in little-endian order. Two dates can share an order
only if they share a hash. A date without a sound key file may hold any order within its bounds.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from pipeline.contract import Stage
from pipeline.lake.files import Files
from pipeline.lake.lake import Lake, Publication
from pipeline.lake.manifests import Bounds, CuratedManifest, NormalizedCounts, NormalizedManifest

KEY = np.dtype("<u8")
# the hash of an id is the polynomial of its bytes at BASE, modulo 2^64. BASE is odd, so it has an inverse
BASE = 0x9E3779B97F4A7C15
IDS_AT_ONCE = 1024
# a longer order_id would make a manifest too large
LONGEST_BOUND = 200


def _powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers)


KNOWN = 1 << 16
UP, DOWN = _powers(BASE, KNOWN), _powers(pow(BASE, -1, 1 << 64), KNOWN)


def _hashes(ids: pa.Array) -> np.ndarray:
    texts = ids.cast(pa.large_binary())
    ends = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    ends = ends - ends[0]
    size = len(data) + 1
    up, down = (UP, DOWN) if size <= KNOWN else (_powers(BASE, size), _powers(int(DOWN[1]), size))
    sums = np.zeros(size, np.uint64)
    np.cumsum(up[: len(data)] * data, out=sums[1:])
    hashes: np.ndarray = np.diff(sums[ends]) * down[ends[:-1]]
    return hashes.astype(KEY)


@dataclass(frozen=True)
class Keys:
    """The hashes of the orders of one or several dates, sorted, and their smallest and largest order_id."""

    bounds: Bounds
    hashes: np.ndarray

    @classmethod
    def of(cls, ids: pa.Array | pa.ChunkedArray) -> "Keys":
        """The keys of order_ids, which differ. A null has no key."""
        known = (ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids).drop_null()
        pieces = [_hashes(known.slice(start, IDS_AT_ONCE)) for start in range(0, len(known), IDS_AT_ONCE)]
        ends = [end.as_py() for end in pc.min_max(known).values()] if len(known) else []
        bounds = UNSET if any(len(end) > LONGEST_BOUND for end in ends) else ends
        return cls(bounds, np.sort(np.concatenate([np.zeros(0, KEY), *pieces])))

    @classmethod
    def staged(cls, publication: Publication[Any], stage: Stage, date: str) -> "Keys":
        """The keys that add_keys() has staged for the publication. Raises OSError."""
        return cls(publication.manifest.order_ids, np.fromfile(publication.path_of(stage.keys_at(date)), KEY))

    @classmethod
    def all(cls, parts: Iterable["Keys"]) -> "Keys":
        """The orders of all parts."""
        filled = [part for part in parts if len(part.hashes)]
        hashes = np.concatenate([np.zeros(0, KEY), *(part.hashes for part in filled)])
        hashes.sort()
        if any(part.bounds is UNSET for part in filled):
            return cls(UNSET, hashes)
        ends = [bound for part in filled for bound in part.bounds or ()]
        return cls([min(ends), max(ends)] if ends else [], hashes)

    @property
    def may_repeat(self) -> bool:
        """Whether a hash is there twice, so that two of the dates may share an order."""
        return bool((self.hashes[1:] == self.hashes[:-1]).any())

    def may_meet(self, found: Bounds) -> bool:
        """Whether one of the orders may lie within the bounds `found`."""
        if self.bounds is UNSET or found is UNSET:
            return True
        return bool(self.bounds and found) and self.bounds[0] <= found[-1] and found[0] <= self.bounds[-1]

    def may_share(self, hashes: np.ndarray) -> bool:
        """Whether one of the orders has one of these sorted hashes."""
        few, many = sorted((self.hashes, hashes), key=len)
        if not len(few):
            return False
        places = np.searchsorted(many, few)
        return bool((many[np.minimum(places, len(many) - 1)] == few).any())


def add_keys(
    publication: Publication[Any], files: Files, stage: Stage, date: str, ids: pa.Array | pa.ChunkedArray
) -> None:
    """Stage the key file of order_ids, which differ, and note their bounds in the manifest. Raises OSError."""
    keys = Keys.of(ids)
    publication.add(files, stage.keys_at(date), keys.hashes.tobytes())
    publication.manifest.order_ids = keys.bounds


def may_hold(lake: Lake, stage: Stage, dates: Iterable[str], orders: Keys) -> list[str]:
    """The dates, of these, that may hold one of the orders in their table of the stage."""
    return [date for date in dates if _may_hold(lake, stage, date, orders)]


def _may_hold(lake: Lake, stage: Stage, date: str, orders: Keys) -> bool:
    manifest = lake.made(stage, date)
    if manifest is None or manifest.id is None:
        return True
    if not orders.may_meet(manifest.order_ids):
        return False
    hashes = _published(lake, stage, date, manifest)
    return hashes is None or orders.may_share(hashes)


def _published(
    lake: Lake, stage: Stage, date: str, manifest: NormalizedManifest | CuratedManifest
) -> np.ndarray | None:
    """The content of the key file of a date. None if the file is missing, or not as published, or lacks orders."""
    name, counts = stage.keys_at(date), manifest.counts
    try:
        content = lake.files.bytes_of(name)
    except OSError:
        return None
    orders = counts.normalized if isinstance(counts, NormalizedCounts) else counts.kept
    is_sound = manifest.hash_of(name) == hashlib.sha256(content).hexdigest()
    return np.frombuffer(content, KEY) if is_sound and len(content) == orders * KEY.itemsize else None
