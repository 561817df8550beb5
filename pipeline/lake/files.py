"""Reads and publishes the files of a lake on local disk, by their names in the lake."""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from pipeline.events import emit
from pipeline.lake.work import STAGING

FSYNC_THREADS = 8
HASHED_BYTES = 1 << 16
Value = TypeVar("Value")
# the paths that a WARNING has named in this process
_warned: set[str] = set()
# by path and reader: the file's mtime, size and inode when it was read, and what the reader returned
_seen: dict[tuple[str, Any], tuple[tuple[int, int, int], Any]] = {}


@dataclass(frozen=True)
class Files:
    """The files below the folder `root`. A name is a path relative to `root`, with forward slashes."""

    root: Path
    fsync: bool
    # the folder of the staged files
    staging: str = STAGING

    def apart(self) -> "Files":
        """These files, with a new folder of their own for the staged ones: two processes may stage files of one name.

        Raises OSError if there is no staging folder.
        """
        folder = f"{STAGING}/{uuid.uuid4().hex}"
        os.mkdir(self.fetch(folder))
        return replace(self, staging=folder)

    def fetch(self, name: str) -> str:
        """The path on this machine from which the file can be read."""
        return f"{self.root}/{name}"

    def stage(self, name: str) -> str:
        """The path on this machine to which a file is written before it is published under `name`."""
        return f"{self.root}/{self.staging}/{name.replace('/', '~')}"

    def stage_bytes(self, name: str, content: bytes | pa.Buffer) -> str:
        """Write a file to its staging path, and return that path. Raises OSError."""
        with open(self.stage(name), "wb") as file:
            file.write(content)
        return self.stage(name)

    def stage_copy(self, name: str, path: str) -> str:
        """Copy a file of this machine to its staging path, and return that path."""
        shutil.copyfile(path, self.stage(name))
        return self.stage(name)

    def stage_link(self, name: str, path: str) -> None:
        """Make a file of this machine the staged file: a second name of it, or a copy where there are no hard links."""
        with suppress(FileNotFoundError):
            os.remove(self.stage(name))
        try:
            os.link(path, self.stage(name))
        except OSError:
            self.stage_copy(name, path)

    def put(self, name: str, staged: str | None) -> None:
        """Publish the staged file under its name; if `staged` is None, delete the file. Durable after sync_folders."""
        if staged is None:
            self.remove(name)
            return
        try:
            os.replace(staged, self.fetch(name))
        except FileNotFoundError:
            # the first file of its folder
            os.makedirs(os.path.dirname(self.fetch(name)), exist_ok=True)
            os.replace(staged, self.fetch(name))

    def read(self, name: str) -> dict[str, Any] | None:
        """The object in a JSON file; None if the file is absent or cannot be read."""
        return self.read_as(name, json_object)

    def read_as(self, name: str, reader: Callable[[bytes], Value]) -> Value | None:
        """What `reader` returns for the content of a file. None if the file cannot be read or it raises ValueError.

        The result is cached as long as mtime, size and inode of the file stay: copy the result before you change it.
        """
        path = self.fetch(name)
        try:
            stat = os.stat(path)
            version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            seen = _seen.get((path, reader))
            if seen is None or seen[0] != version:
                seen = _seen[path, reader] = (version, reader(self.bytes_of(name)))
        except (OSError, ValueError):
            return None
        value: Value = seen[1]
        return value

    def bytes_of(self, name: str) -> bytes:
        """The content of a file. Raises OSError."""
        with open(self.fetch(name), "rb") as file:
            return file.read()

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Replace one JSON file atomically. Durable after sync_folders."""
        self.write_text(name, json.dumps(content, sort_keys=True))

    def write_text(self, name: str, text: str) -> None:
        """Replace one text file (UTF-8) atomically. Durable after sync_folders."""
        staged = self.stage(name)
        with open(staged, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            if self.fsync:
                os.fsync(file.fileno())
        self.put(name, staged)

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none if the folder is absent."""
        try:
            found = [entry.name for entry in os.scandir(self.fetch(folder)) if entry.is_file()]
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name}" for name in found)

    def folders(self, folder: str) -> list[str]:
        """The entries date=<value> of a folder, without the path, in no order."""
        try:
            return [name for name in os.listdir(self.fetch(folder)) if name.startswith("date=")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def all_names(self, folder: str) -> Iterator[str]:
        """The names of all files below a folder, in no order."""
        for path, _, files in os.walk(self.fetch(folder)):
            within = os.path.relpath(path, self.root)
            yield from (f"{within}/{file}" for file in files)

    def create(self, name: str) -> None:
        """Make an empty file. Raises FileExistsError if the file exists, so only one process can make it."""
        os.makedirs(os.path.dirname(self.fetch(name)), exist_ok=True)
        with open(self.fetch(name), "x"):
            pass

    def has(self, name: str) -> bool:
        """Whether a file or folder of this name exists."""
        return os.path.exists(self.fetch(name))

    def size(self, name: str) -> int | None:
        """The size of a file in bytes; None if the file is absent."""
        try:
            return os.stat(self.fetch(name)).st_size
        except OSError:
            return None

    def modified_at(self, name: str) -> datetime:
        """The mtime of a file, in UTC. Raises OSError."""
        return datetime.fromtimestamp(os.stat(self.fetch(name)).st_mtime, UTC)

    def remove(self, name: str) -> None:
        """Delete one file, if it exists."""
        with suppress(FileNotFoundError):
            os.remove(self.fetch(name))

    def remove_folder(self, name: str) -> None:
        """Delete a folder and its content, if it exists."""
        shutil.rmtree(self.fetch(name), ignore_errors=True)

    def name_foreign(self, name: str, reason: str) -> None:
        """Emit one WARNING per process for a file or folder that does not belong to the lake."""
        if self.fetch(name) not in _warned:
            _warned.add(self.fetch(name))
            emit("foreign", level=logging.WARNING, path=self.fetch(name), reason=reason)

    def sync_folders(self, names: Collection[str]) -> None:
        """Make put() and remove() of these names durable: sync each folder above a name, up to the root.

        A power cut takes a folder that is new, unless the folder above it is synced.
        """
        folders: set[str] = set()
        above = {os.path.dirname(name) for name in names}
        while above - folders:
            folders |= above
            above = {os.path.dirname(folder) for folder in above}
        self.sync([path for path in map(self.fetch, sorted(folders)) if os.path.isdir(path)])

    def sync(self, paths: Collection[str]) -> None:
        """Make the content of these paths durable, if [storage] fsync is on."""
        if self.fsync:
            with ThreadPoolExecutor(FSYNC_THREADS) as pool:
                list(pool.map(sync_path, paths))


def json_object(content: bytes) -> dict[str, Any]:
    """The object in a JSON text. Raises ValueError."""
    try:
        found = msgspec.json.decode(content)
    except ValueError:
        # msgspec refuses half a surrogate pair, but a path that is not UTF-8 can hold one
        found = json.loads(content, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def file_hash(path: str) -> str:
    """The sha256 of a file. Raises OSError."""
    digest = hashlib.sha256()
    # hashlib.file_digest makes a buffer of 256 KiB first, which takes longer than to hash a small file
    with open(path, "rb", buffering=0) as file:
        while content := file.read(HASHED_BYTES):
            digest.update(content)
    return digest.hexdigest()


def has_hash(path: str, published: str | None) -> bool:
    """Whether a file has the sha256 with which it was published. True, without reading it, if that is not known."""
    return published is None or file_hash(path) == published


def sync_path(path: str) -> None:
    """Make the content of a file, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
