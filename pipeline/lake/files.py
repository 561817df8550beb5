"""The lake on local disk: where files lie, how they are published whole, their manifests, and the one lock."""

import json
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipeline.contract import STAGES, UNDATED, Stage, Table
from pipeline.dates import is_date
from pipeline.events import emit
from pipeline.lake import manifests
from pipeline.lake.work import Work

Manifest = dict[str, Any]

FSYNC_THREADS = 8
_seen: dict[str, tuple[tuple[int, int, int], Manifest | None]] = {}
_judged: dict[str, tuple[Manifest, str | None]] = {}
_named: set[str] = set()


@dataclass
class Publication:
    """What one date's stage publishes: staged files by their path in the lake (None deletes), then its manifest."""

    manifest: str
    body: Manifest
    staged: dict[str, str | None] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Lake(Work):
    """The folder `root` that holds every layer. All names are relative to it, with forward slashes."""

    fsync: bool = True
    # a record without a date leaves so long after the dump that first brought it, unless the dump still holds it
    undated_days: float = 90

    def table_paths(self, table: Table, dates: Iterable[str]) -> list[str]:
        """The paths of a table's files, one a date."""
        return [self.path(partition(table.layer, date, table.file)) for date in dates]

    def partitions(self, layer: str) -> list[str]:
        """The partition values present in a layer, sorted; the undated partition included.

        A folder of another name, such as a copy `date=2025-01-15.bak`, is no partition: a WARNING names it once.
        """
        try:
            names = os.listdir(self.root / layer)
        except (FileNotFoundError, NotADirectoryError):
            return []
        values = [name[5:] for name in names if name.startswith("date=")]
        for value in values:
            if not is_partition(value):
                _warn_of(
                    f"{self.root}/{layer}/date={value}",
                    "no partition: expected a date in 1970 to 2199; it is left alone, but other readers may find it",
                )
        return sorted(filter(is_partition, values))

    def dates(self) -> list[str]:
        """Every date that any layer has a partition of, sorted."""
        layers = {stage.layer for stage in STAGES}
        return sorted({date for layer in layers for date in self.partitions(layer)} - {UNDATED})

    def files(self, folder: str) -> list[str]:
        """The names, in the lake, of the files in one of its folders, sorted."""
        try:
            found = [entry.name for entry in os.scandir(self.path(folder)) if entry.is_file()]
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name}" for name in found)

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return os.path.exists(self.path(name))

    def manifest(self, stage: Stage, date: str) -> Manifest | None:
        """The manifest of a date's stage; None when it is absent, unreadable or of another shape.

        A WARNING names, once, a manifest of another shape.
        """
        path = self.path(partition(stage.layer, date, stage.manifest))
        content = _read(path)
        if content is None:
            return None
        judged = _judged.get(path)
        # a content that has been read once is the same object until the file changes
        if judged is None or judged[0] is not content:
            judged = _judged[path] = (content, manifests.fault(stage.name, content))
        if judged[1] is not None:
            _warn_of(path, f"{judged[1]}; it counts as absent")
            return None
        return content

    def read(self, name: str) -> Manifest | None:
        """A JSON file as last published; None when it is absent or unreadable. Cached by mtime, size and inode."""
        return _read(self.path(name))

    def whole(self, manifest: Manifest | None) -> bool:
        """Whether the manifest commits to something and every file it lists is there with its size."""
        if manifest is None or manifest.get("id") is None:
            return False
        return all(self._size(name) == size for name, size in manifest["files"].items())

    def _size(self, name: str) -> int | None:
        try:
            return os.stat(self.path(name)).st_size
        except OSError:
            return None

    def stage(self, name: str) -> str:
        """The path at which a file is written before it is published under `name`."""
        return f"{self.root}/.staging/{name.replace('/', '~')}"

    def publish(self, publications: Sequence[Publication]) -> dict[str, OSError]:
        """Replace each publication's files, in order, then commit their manifests; what failed, by manifest name.

        A manifest that is there is first rewritten with id null, durably: until the new one is in place, its date
        counts as incomplete. So a kill at any moment leaves each file old or new and each date complete or redone.
        """
        failed: dict[str, OSError] = {}

        def each(step: Any) -> list[Publication]:
            done = []
            for publication in publications:
                if publication.manifest not in failed:
                    try:
                        step(publication)
                        done.append(publication)
                    except OSError as error:
                        failed[publication.manifest] = error
            return done

        each(self._measure)
        revoked = [name for p in publications for name in [p.manifest] if self._revoke(name, failed)]
        self.sync_folders(revoked)
        self._sync([path for p in publications for path in p.staged.values() if path and os.path.exists(path)])
        replaced = each(self._replace)
        self.sync_folders([name for p in replaced for name in p.staged])
        each(self._commit)
        self.sync_folders([p.manifest for p in replaced])
        return failed

    def _measure(self, publication: Publication) -> None:
        for name, path in publication.staged.items():
            if path is not None:
                publication.sizes[name] = os.stat(path).st_size

    def _revoke(self, name: str, failed: dict[str, OSError]) -> bool:
        current = self.read(name)
        if current is None or current.get("id") is None:
            return False
        try:
            self.write(name, current | {"id": None})
        except OSError as error:
            failed[name] = error
            return False
        return True

    def _replace(self, publication: Publication) -> None:
        os.makedirs(os.path.dirname(self.path(publication.manifest)), exist_ok=True)
        for name, staged in publication.staged.items():
            if staged is not None:
                os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
                os.replace(staged, self.path(name))
            elif os.path.exists(self.path(name)):
                os.remove(self.path(name))

    def _commit(self, publication: Publication) -> None:
        files = publication.body.get("files", {}) | publication.sizes
        self.write(publication.manifest, publication.body | {"files": files})

    def write(self, name: str, content: Manifest) -> None:
        """Replace one JSON file atomically; durable once its folder is synced."""
        self.write_text(name, json.dumps(content, sort_keys=True))

    def write_text(self, name: str, text: str) -> None:
        """Replace one file of text atomically; durable once its folder is synced."""
        staged = self.stage(name)
        with open(staged, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            if self.fsync:
                os.fsync(file.fileno())
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.replace(staged, self.path(name))

    def disown(self, manifest: str) -> None:
        """Make what a manifest commits to count as lost, since a file of it cannot be read. Call it under the lock."""
        self._revoke(manifest, {})
        self.sync_folders([manifest])

    def remove(self, name: str) -> None:
        """Delete one file, if it is there."""
        with suppress(FileNotFoundError):
            os.remove(self.path(name))

    def remove_folder(self, name: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def sync_folders(self, names: list[str]) -> None:
        """Make renames durable: the folder of each name and the folder that lists that one."""
        folders = {os.path.dirname(self.path(name)) for name in names}
        folders |= {os.path.dirname(folder) for folder in folders}
        self._sync([folder for folder in sorted(folders) if os.path.isdir(folder)])

    def _sync(self, paths: list[str]) -> None:
        if self.fsync:
            with ThreadPoolExecutor(FSYNC_THREADS) as pool:
                list(pool.map(_fsync, paths))


def _fsync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: str) -> Manifest | None:
    try:
        stat = os.stat(path)
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        seen = _seen.get(path)
        if seen is None or seen[0] != version:
            with open(path, "rb") as file:
                content = json.load(file)
            seen = _seen[path] = (version, content if isinstance(content, dict) else None)
    except (OSError, ValueError):
        return None
    return seen[1]


def is_partition(value: str) -> bool:
    """Whether `date=<value>` is the name of a partition: a date, or the undated one."""
    return value == UNDATED or is_date(value)


def _warn_of(path: str, reason: str) -> None:
    """Name a file or folder that is none of the lake's, once in a process."""
    if path not in _named:
        _named.add(path)
        emit("foreign", level=logging.WARNING, path=path, reason=reason)


def partition(layer: str, date: str, file: str) -> str:
    """The name of a date's file in a layer, relative to the lake."""
    return f"{layer}/date={date}/{file}"
