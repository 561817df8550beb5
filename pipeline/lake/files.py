"""The files of a lake on local disk, by their names in it: what a bucket would hold instead."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.events import emit
from pipeline.lake.work import STAGING

FSYNC_THREADS = 8
Value = TypeVar("Value")
# by path and reader: what a file was read as, and its mtime, size and inode then
_named: set[str] = set()
_seen: dict[tuple[str, Any], tuple[tuple[int, int, int], Any]] = {}


@dataclass(frozen=True)
class Files:
    """The files under the folder `root`. All names are relative to it, with forward slashes."""

    root: Path
    fsync: bool

    def fetch(self, name: str) -> str:
        """A path on this machine at which the file can be read."""
        return f"{self.root}/{name}"

    def stage(self, name: str) -> str:
        """A path on this machine at which a file is written before it is published under `name`."""
        return f"{self.root}/{STAGING}/{name.replace('/', '~')}"

    def stage_bytes(self, name: str, content: bytes) -> str:
        """Write a file's content where it can be published from; the path."""
        with open(self.stage(name), "wb") as file:
            file.write(content)
        return self.stage(name)

    def stage_copy(self, name: str, path: str) -> str:
        """Copy a file of this machine to where it can be published from; the path."""
        shutil.copyfile(path, self.stage(name))
        return self.stage(name)

    def put(self, name: str, staged: str | None) -> None:
        """Publish the staged file under its name; without one, delete what is published. Durable after sync_folders."""
        if staged is None:
            self.remove(name)
            return
        os.makedirs(os.path.dirname(self.fetch(name)), exist_ok=True)
        os.replace(staged, self.fetch(name))

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file as last published; None when it is absent or unreadable."""
        return self.read_as(name, json_object)

    def read_as(self, name: str, reader: Callable[[bytes], Value]) -> Value | None:
        """What a reader makes of a file; None when it cannot be read or the reader raises a ValueError.

        While the file is the same, what is returned is the same object: whoever changes it makes a copy first.
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
        self.put(name, staged)

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted."""
        try:
            found = [entry.name for entry in os.scandir(self.fetch(folder)) if entry.is_file()]
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name}" for name in found)

    def folders(self, folder: str) -> list[str]:
        """What is called date=<value> in a folder, without the path, in no order."""
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
        """Make an empty file. Raises FileExistsError where there is one: only one process makes it."""
        os.makedirs(os.path.dirname(self.fetch(name)), exist_ok=True)
        with open(self.fetch(name), "x"):
            pass

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return os.path.exists(self.fetch(name))

    def size(self, name: str) -> int | None:
        """The bytes of a file; None when it is not there."""
        try:
            return os.stat(self.fetch(name)).st_size
        except OSError:
            return None

    def modified_at(self, name: str) -> datetime:
        """When a file was written. Raises OSError."""
        return datetime.fromtimestamp(os.stat(self.fetch(name)).st_mtime, UTC)

    def remove(self, name: str) -> None:
        """Delete one file, if it is there."""
        with suppress(FileNotFoundError):
            os.remove(self.fetch(name))

    def remove_folder(self, name: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
        shutil.rmtree(self.fetch(name), ignore_errors=True)

    def name_foreign(self, name: str, reason: str) -> None:
        """A WARNING, once in a process, of a file or folder that is none of the lake's."""
        if self.fetch(name) not in _named:
            _named.add(self.fetch(name))
            emit("foreign", level=logging.WARNING, path=self.fetch(name), reason=reason)

    def sync_folders(self, names: Collection[str]) -> None:
        """Make what was put or removed durable: the folder of each name and the folder that lists that one."""
        folders = {os.path.dirname(self.fetch(name)) for name in names}
        folders |= {os.path.dirname(folder) for folder in folders}
        self.sync([folder for folder in sorted(folders) if os.path.isdir(folder)])

    def sync(self, paths: Collection[str]) -> None:
        """Make what is written at these paths durable."""
        if self.fsync:
            with ThreadPoolExecutor(FSYNC_THREADS) as pool:
                list(pool.map(_fsync, paths))


def json_object(content: bytes) -> dict[str, Any]:
    """The object that a JSON text holds. Raises ValueError."""
    try:
        found = msgspec.json.decode(content)
    except ValueError:
        # strict about halves of surrogates, which a path may have that is no UTF-8
        found = json.loads(content, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _fsync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
