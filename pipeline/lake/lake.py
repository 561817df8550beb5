"""The lake: its partitions, the manifests that commit their files, and the atomic publication of both."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic

import pyarrow as pa

from pipeline.contract import (
    DIMENSIONS_MANIFEST,
    KEY_SUFFIX,
    NORMALIZED_STAGE,
    RAW_STAGE,
    STAGES,
    UNDATED,
    Stage,
    Table,
)
from pipeline.dates import is_date
from pipeline.lake.files import Files, file_hash, json_object
from pipeline.lake.manifests import (
    AnyManifest,
    CuratedManifest,
    DimensionsManifest,
    Manifest,
    NormalizedManifest,
    RawManifest,
    decoded,
    encoded,
)
from pipeline.lake.work import Work


@dataclass
class Publication(Generic[AnyManifest]):
    """Staged files by their names in the lake (None deletes the file), and their manifest, which is written last.

    `name` is the manifest's name. Its `files` lists the files that stay as they are; publish() adds the staged files.
    """

    name: str
    manifest: AnyManifest
    staged: dict[str, str | None] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def add(self, files: Files, name: str, content: bytes | pa.Buffer | None) -> None:
        """Stage a file with this content, and note its size and hash; None deletes the file. Raises OSError."""
        if content is None:
            self.staged[name] = None
            return
        self.staged[name] = files.stage_bytes(name, content)
        self._note(name, len(content), lambda: hashlib.sha256(content).hexdigest())

    def path_of(self, name: str) -> str:
        """The path of a staged file. Raises KeyError if none is staged under this name."""
        path = self.staged[name]
        if path is None:
            raise KeyError(name)
        return path

    def measure(self) -> None:
        """Note the size and hash of each staged file that add() has not written. Raises OSError."""
        for name, path in self.staged.items():
            if path is not None and name not in self.sizes and name not in self.hashes:
                self._note(name, os.stat(path).st_size, partial(file_hash, path))

    def _note(self, name: str, size: int, hash_of: Callable[[], str]) -> None:
        # `files` of a manifest has what a warehouse loads, so no key file
        if not name.endswith(KEY_SUFFIX):
            self.sizes[name] = size
        # raw is not hashed here: the id of a raw partition is the hash of its file
        if name.endswith((".parquet", KEY_SUFFIX)):
            self.hashes[name] = hash_of()


@dataclass(frozen=True)
class Lake:
    """The folder `root` that holds every layer."""

    root: Path
    lock_timeout_seconds: float = 600
    fsync: bool = True
    # an undated record leaves the lake this long after the dump that first had it, unless the current dump has it
    undated_days: float = 90

    @cached_property
    def files(self) -> Files:
        """The published files."""
        return Files(self.root, self.fsync)

    @cached_property
    def work(self) -> Work:
        """The locks, scratch files and spools of this host."""
        return Work(self.root, self.lock_timeout_seconds)

    def paths(self, table: Table, dates: Iterable[str]) -> list[str]:
        """The paths of a table's files, one per date."""
        return [self.files.fetch(table.at(date)) for date in dates]

    def partitions(self, layer: str) -> list[str]:
        """The partition values of a layer, sorted, with the undated partition.

        A folder with another value, such as a copy `date=2025-01-15.bak`, is left out. One WARNING names it.
        """
        values = [name.removeprefix("date=") for name in self.files.folders(layer)]
        for value in values:
            if not is_partition(value):
                self.files.name_foreign(
                    f"{layer}/date={value}",
                    "not a partition: expected a date in 1970 to 2199; it is ignored, but other readers may read it",
                )
        return sorted(filter(is_partition, values))

    def dates(self) -> list[str]:
        """Every date with a partition in any layer, sorted; without the undated partition."""
        layers = {stage.layer for stage in STAGES}
        return sorted({date for layer in layers for date in self.partitions(layer)} - {UNDATED})

    def raw(self, date: str) -> RawManifest | None:
        """The manifest of a raw partition; see read_manifest."""
        return _of_date(date, self.read_manifest(RAW_STAGE.manifest_at(date), RawManifest))

    def landed(self, date: str) -> RawManifest:
        """The manifest of a raw partition; one with id null if there is none."""
        return self.raw(date) or RawManifest(id=None)

    def normalized(self, date: str) -> NormalizedManifest | None:
        """The manifest of a normalized partition; see read_manifest."""
        return _of_date(date, self.read_manifest(NORMALIZED_STAGE.manifest_at(date), NormalizedManifest))

    def curated(self, stage: Stage, date: str) -> CuratedManifest | None:
        """The manifest of a curated table of a date; see read_manifest."""
        return _of_date(date, self.read_manifest(stage.manifest_at(date), CuratedManifest))

    def made(self, stage: Stage, date: str) -> NormalizedManifest | CuratedManifest | None:
        """The manifest of a stage that has an upstream; see read_manifest."""
        return self.normalized(date) if stage == NORMALIZED_STAGE else self.curated(stage, date)

    def manifest(self, stage: Stage, date: str) -> Manifest | None:
        """The manifest of any stage of a date; see read_manifest."""
        return self.raw(date) if stage == RAW_STAGE else self.made(stage, date)

    def has_manifest(self, stage: Stage, date: str) -> bool:
        """Whether there is a manifest file, readable or not, that is not a copy of another date's."""
        name = stage.manifest_at(date)
        if not self.files.has(name):
            return False
        files = (self.files.read(name) or {}).get("files")
        return not isinstance(files, dict) or all(f"/date={date}/" in each for each in files)

    def dimensions(self) -> DimensionsManifest | None:
        """The manifest of the dimensions; see read_manifest."""
        return self.read_manifest(DIMENSIONS_MANIFEST, DimensionsManifest)

    def read_manifest(self, name: str, kind: type[AnyManifest]) -> AnyManifest | None:
        """A manifest; None if it is absent, unreadable or of another shape. Copy it before you change it.

        One WARNING names a manifest of another shape.
        """
        manifest = self.files.read_as(name, READERS[kind])
        if isinstance(manifest, str):
            self.files.name_foreign(name, f"not a valid manifest: {manifest}; it counts as absent")
            return None
        return manifest

    def whole(self, manifest: Manifest | None) -> bool:
        """Whether the manifest has an id, and every file it lists exists with the listed size."""
        if manifest is None or manifest.id is None:
            return False
        return all(self.files.size(name) == size for name, size in manifest.files.items())

    def is_whole(self, stage: Stage, date: str) -> bool:
        """Whether a stage of a date is published and all its files exist with their sizes."""
        return self.whole(self.manifest(stage, date))

    def publish(self, publications: Sequence[Publication[Any]]) -> dict[str, OSError]:
        """Replace the files of each publication, in order, then write the manifests. Returns errors by manifest name.

        First, each existing manifest is rewritten with id null and synced. Its date is incomplete until the new
        manifest is written. So after a kill at any moment each file is old or new, and an incomplete date is redone.
        """
        failed: dict[str, OSError] = {}

        def each(step: Callable[[Publication[Any]], bool | None]) -> list[Publication[Any]]:
            """Run a step for each publication without an error; those for which the step did not return False."""
            done = []
            for publication in publications:
                try:
                    if publication.name not in failed and step(publication) is not False:
                        done.append(publication)
                except OSError as error:
                    failed[publication.name] = error
            return done

        each(Publication.measure)
        revoked = each(lambda publication: self._revoke(publication.name))
        self.files.sync_folders([publication.name for publication in revoked])
        self.files.sync([path for p in publications for path in p.staged.values() if path and os.path.exists(path)])
        replaced = each(self._replace)
        self.files.sync_folders([name for publication in replaced for name in publication.staged])
        each(self._commit)
        self.files.sync_folders([publication.name for publication in replaced])
        return failed

    def _revoke(self, name: str) -> bool:
        """Rewrite a manifest with id null. Returns whether it had an id before."""
        try:
            # read past the cache, as this content is replaced at once
            current = json_object(self.files.bytes_of(name))
        except (OSError, ValueError):
            return False
        if current.get("id") is None:
            return False
        self.files.write(name, current | {"id": None})
        return True

    def _replace(self, publication: Publication[Any]) -> None:
        for name, staged in publication.staged.items():
            self.files.put(name, staged)

    def _commit(self, publication: Publication[Any]) -> None:
        publication.manifest.files = publication.manifest.files | publication.sizes
        if publication.hashes:
            publication.manifest.hashes = (publication.manifest.hashes or {}) | publication.hashes
        self.write_manifest(publication.name, publication.manifest)

    def write_manifest(self, name: str, manifest: Manifest) -> None:
        """Replace one manifest atomically. Durable after sync_folders."""
        self.files.write(name, encoded(manifest))

    def disown(self, name: str) -> None:
        """Set the id of a manifest to null, durably, because one of its files cannot be read: its date is redone.

        Call it under the lake's lock. Raises OSError.
        """
        self._revoke(name)
        self.files.sync_folders([name])


def _reader(kind: type[AnyManifest]) -> Callable[[bytes], AnyManifest | str]:
    """A reader that returns a manifest, or the reason why the JSON is not one, so that Files caches the reason, too."""

    def read(content: bytes) -> AnyManifest | str:
        found = json_object(content)
        try:
            return decoded(kind, found)
        except ValueError as error:
            return str(error)

    return read


def _of_date(date: str, manifest: AnyManifest | None) -> AnyManifest | None:
    """The manifest; None if it lists files of another date. Then it was copied from there, and counts as absent."""
    if manifest is None or all(f"/date={date}/" in name for name in manifest.files):
        return manifest
    return None


READERS: dict[type[Manifest], Callable[[bytes], Any]] = {
    kind: _reader(kind) for kind in (RawManifest, NormalizedManifest, CuratedManifest, DimensionsManifest)
}


def is_partition(value: str) -> bool:
    """Whether `date=<value>` is the folder of a partition: of a date, or the undated partition."""
    return value == UNDATED or is_date(value)
