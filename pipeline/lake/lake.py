"""The lake: its partitions, the manifests that commit them, and how they are published whole."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic

from pipeline.contract import (
    DIMENSIONS_MANIFEST,
    NORMALIZED_STAGE,
    RAW_STAGE,
    STAGES,
    UNDATED,
    Stage,
    Table,
)
from pipeline.dates import is_date
from pipeline.lake.files import Files, json_object
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
    """What is published together: staged files by their names in the lake (None deletes), then the manifest at `name`.

    The manifest's `files` are those that stay as they are; publishing adds the staged ones.
    """

    name: str
    manifest: AnyManifest
    staged: dict[str, str | None] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Lake:
    """The folder `root` that holds every layer."""

    root: Path
    lock_timeout_seconds: float = 600
    fsync: bool = True
    # a record without a date leaves so long after the dump that first brought it, unless the dump still holds it
    undated_days: float = 90

    @cached_property
    def files(self) -> Files:
        """What the lake holds."""
        return Files(self.root, self.fsync)

    @cached_property
    def work(self) -> Work:
        """What this host needs to work on it."""
        return Work(self.root, self.lock_timeout_seconds)

    def paths(self, table: Table, dates: Iterable[str]) -> list[str]:
        """Where a table's files can be read, one a date."""
        return [self.files.fetch(table.at(date)) for date in dates]

    def partitions(self, layer: str) -> list[str]:
        """The partition values present in a layer, sorted; the undated partition included.

        A folder of another name, such as a copy `date=2025-01-15.bak`, is no partition: a WARNING names it once.
        """
        values = [name.removeprefix("date=") for name in self.files.folders(layer)]
        for value in values:
            if not is_partition(value):
                self.files.name_foreign(
                    f"{layer}/date={value}",
                    "no partition: expected a date in 1970 to 2199; it is left alone, but other readers may find it",
                )
        return sorted(filter(is_partition, values))

    def dates(self) -> list[str]:
        """Every date that any layer has a partition of, sorted."""
        layers = {stage.layer for stage in STAGES}
        return sorted({date for layer in layers for date in self.partitions(layer)} - {UNDATED})

    def raw(self, date: str) -> RawManifest | None:
        """The manifest of a raw partition, as read_manifest has it."""
        return self.read_manifest(RAW_STAGE.manifest_at(date), RawManifest)

    def landed(self, date: str) -> RawManifest:
        """The manifest of a raw partition; with id null where there is none."""
        return self.raw(date) or RawManifest(id=None)

    def normalized(self, date: str) -> NormalizedManifest | None:
        """The manifest of a normalized partition, as read_manifest has it."""
        return self.read_manifest(NORMALIZED_STAGE.manifest_at(date), NormalizedManifest)

    def curated(self, stage: Stage, date: str) -> CuratedManifest | None:
        """The manifest of a curated table of a date, as read_manifest has it."""
        return self.read_manifest(stage.manifest_at(date), CuratedManifest)

    def made(self, stage: Stage, date: str) -> NormalizedManifest | CuratedManifest | None:
        """The manifest of a stage that has an upstream, as read_manifest has it."""
        return self.normalized(date) if stage == NORMALIZED_STAGE else self.curated(stage, date)

    def manifest(self, stage: Stage, date: str) -> Manifest | None:
        """The manifest of any stage of a date, as read_manifest has it."""
        return self.raw(date) if stage == RAW_STAGE else self.made(stage, date)

    def dimensions(self) -> DimensionsManifest | None:
        """The manifest of the dimensions, as read_manifest has it."""
        return self.read_manifest(DIMENSIONS_MANIFEST, DimensionsManifest)

    def read_manifest(self, name: str, kind: type[AnyManifest]) -> AnyManifest | None:
        """A manifest; None when it is absent, unreadable or of another shape. Whoever changes it makes a copy first.

        A WARNING names, once, a manifest of another shape.
        """
        manifest = self.files.read_as(name, READERS[kind])
        if isinstance(manifest, str):
            self.files.name_foreign(name, f"no manifest of its kind: {manifest}; it counts as absent")
            return None
        return manifest

    def whole(self, manifest: Manifest | None) -> bool:
        """Whether the manifest commits to something and every file it lists is there with its size."""
        if manifest is None or manifest.id is None:
            return False
        return all(self.files.size(name) == size for name, size in manifest.files.items())

    def is_whole(self, stage: Stage, date: str) -> bool:
        """Whether a stage of a date is published, and is all there."""
        return self.whole(self.manifest(stage, date))

    def publish(self, publications: Sequence[Publication[Any]]) -> dict[str, OSError]:
        """Replace each publication's files, in order, then commit their manifests; what failed, by manifest name.

        A manifest that is there is first rewritten with id null, durably: until the new one is in place, its date
        counts as incomplete. So a kill at any moment leaves each file old or new and each date complete or redone.
        """
        failed: dict[str, OSError] = {}

        def each(step: Callable[[Publication[Any]], bool | None]) -> list[Publication[Any]]:
            """Those for which the step said anything but False."""
            done = []
            for publication in publications:
                try:
                    if publication.name not in failed and step(publication) is not False:
                        done.append(publication)
                except OSError as error:
                    failed[publication.name] = error
            return done

        each(self._measure)
        revoked = each(lambda publication: self._revoke(publication.name))
        self.files.sync_folders([publication.name for publication in revoked])
        self.files.sync([path for p in publications for path in p.staged.values() if path and os.path.exists(path)])
        replaced = each(self._replace)
        self.files.sync_folders([name for publication in replaced for name in publication.staged])
        each(self._commit)
        self.files.sync_folders([publication.name for publication in replaced])
        return failed

    def _measure(self, publication: Publication[Any]) -> None:
        for name, path in publication.staged.items():
            if path is not None:
                publication.sizes[name] = os.stat(path).st_size

    def _revoke(self, name: str) -> bool:
        """Whether the manifest committed to something until now."""
        try:
            # not to be remembered, since it is replaced now
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
        self.write_manifest(publication.name, publication.manifest)

    def write_manifest(self, name: str, manifest: Manifest) -> None:
        """Replace one manifest atomically; durable once its folder is synced."""
        self.files.write(name, encoded(manifest))

    def disown(self, name: str) -> None:
        """Make what a manifest commits to count as lost, since a file of it cannot be read. Call it under the lock.

        Raises OSError.
        """
        self._revoke(name)
        self.files.sync_folders([name])


def _reader(kind: type[AnyManifest]) -> Callable[[bytes], AnyManifest | str]:
    """Reads a manifest, or says why its JSON is none, so that Files remembers that answer, too."""

    def read(content: bytes) -> AnyManifest | str:
        found = json_object(content)
        try:
            return decoded(kind, found)
        except ValueError as error:
            return str(error)

    return read


READERS: dict[type[Manifest], Callable[[bytes], Any]] = {
    kind: _reader(kind) for kind in (RawManifest, NormalizedManifest, CuratedManifest, DimensionsManifest)
}


def is_partition(value: str) -> bool:
    """Whether `date=<value>` is the name of a partition: a date, or the undated one."""
    return value == UNDATED or is_date(value)
