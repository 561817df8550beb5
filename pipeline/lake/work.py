"""What of a lake stays on this host: its locks, scratch, and the spools that a run takes its records from."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import LakeBusy, StorageUnusable
from pipeline.events import emit

# files before they are published, a dump split by date, and the windows of an API that are being read
STAGING, DUMP_SPOOLS, WINDOW_SPOOLS = ".staging", ".spool", ".windows"
PUBLISHING, ASKING = ".lock", ".extracting"
# filelock's own 0.05 is longer than a task of one small date holds the lock
SECONDS_BETWEEN_TRIES = 0.005
# tasks of one run wait for each other, too: that is not worth a word
SILENT_SECONDS = 0.5


@dataclass(frozen=True)
class Spool:
    """A folder from which a run takes its records. The next run continues with the folder of a killed one."""

    folder: str

    def path(self, file: str) -> str:
        """Where a file of it is."""
        return f"{self.folder}/{file}"

    def begin(self) -> None:
        """Make it an empty folder, whatever is there."""
        self.remove()
        os.makedirs(self.folder)

    def read(self, file: str) -> bytes:
        """The content of a file. Raises OSError."""
        with open(self.path(file), "rb") as opened:
            return opened.read()

    def put(self, file: str, content: str) -> None:
        """Replace a file whole."""
        with open(self.path(f"{file}.new"), "w", encoding="utf-8") as opened:
            opened.write(content)
        os.replace(self.path(f"{file}.new"), self.path(file))

    def truncate(self, file: str, length: int) -> None:
        """Keep the first bytes of a file."""
        os.truncate(self.path(file), length)

    def move_to(self, other: "Spool") -> None:
        """Rename this folder to the path of the other, which must not exist."""
        os.makedirs(os.path.dirname(other.folder), exist_ok=True)
        os.replace(self.folder, other.folder)

    def remove(self) -> None:
        """Delete it, if it is there."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Work:
    """The folder `root` of a lake, as this host works in it."""

    root: Path
    lock_timeout_seconds: float

    def path(self, name: str) -> str:
        """Where something of this name lies; nothing of it is published."""
        return f"{self.root}/{name}"

    def scratch(self, name: str) -> str:
        """A path for what is of use only while the lock is held."""
        return self.path(f"{STAGING}/{name}")

    def spool(self, kind: str, name: str) -> Spool:
        """The spool of one dump, or of one window."""
        return Spool(self.path(f"{kind}/{name}"))

    def has(self, kind: str) -> bool:
        """Whether anything is staged, or spooled of a kind."""
        return os.path.lexists(self.path(kind))

    def size_of(self, kind: str) -> int:
        """How many bytes are staged, or spooled of a kind; files that go meanwhile do not count."""
        sizes = 0
        for folder, _, files in os.walk(self.path(kind)):
            for file in files:
                with suppress(OSError):
                    sizes += os.stat(f"{folder}/{file}").st_size
        return sizes

    def trace(self) -> int:
        """Another number once a run has had the lake's lock: it makes and removes STAGING. Raises OSError."""
        return os.stat(self.root).st_mtime_ns

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lake's lock. Under it nobody else publishes, so anything staged before is a killed run's litter.

        Raises LakeBusy after lock_timeout_seconds and StorageUnusable when the root cannot be written.
        """
        with self._held(PUBLISHING, "the lake's lock"), self._usable():
            try:
                self.remove(STAGING)
                os.mkdir(self.path(STAGING))
                yield
            finally:
                self.remove(STAGING)

    @contextmanager
    def extracting(self) -> Iterator[None]:
        """Hold the right to ask an API for this lake, for minutes or hours; publishing goes on meanwhile.

        Raises LakeBusy and StorageUnusable as locked() does.
        """
        with self._held(ASKING, "the right to ask the API"):
            yield

    @contextmanager
    def extracting_if_free(self) -> Iterator[bool]:
        """Whether nobody asked an API for this lake, and now nobody can; waits for nobody."""
        lock = FileLock(self.path(ASKING))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def remove(self, kind: str) -> None:
        """Delete all that is staged, or all spools of a kind. Call it under the lock that is for them."""
        shutil.rmtree(self.path(kind), ignore_errors=True)

    def remove_if_empty(self, kind: str) -> None:
        """Delete the folder of a kind's spools, unless there are some to be gone on with."""
        with suppress(OSError):
            os.rmdir(self.path(kind))

    def remove_idle_windows(self) -> None:
        """Delete the windows, as an extraction killed at its very end leaves them, unless an API is being asked."""
        if self.has(WINDOW_SPOOLS):
            with self.extracting_if_free() as free:
                if free:
                    self.remove(WINDOW_SPOOLS)

    def in_use(self, name: str) -> bool:
        """Whether a run holds PUBLISHING or ASKING now. Nothing is written, and nobody is made to wait.

        A shared lock that is let go at once finds out, as other containers' processes are in no list of locks here.
        """
        try:
            handle = os.open(self.path(name), os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    @contextmanager
    def _held(self, name: str, what: str) -> Iterator[None]:
        with self._usable():
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path(name), poll_interval=SECONDS_BETWEEN_TRIES)
            self._acquire(lock, what)
        try:
            yield
        finally:
            lock.release()

    def _acquire(self, lock: FileLock, what: str) -> None:
        silent = min(SILENT_SECONDS, self.lock_timeout_seconds)
        try:
            lock.acquire(timeout=silent)
        except Timeout:
            emit("lock_waiting", lock=lock.lock_file, timeout_seconds=self.lock_timeout_seconds)
            try:
                lock.acquire(timeout=self.lock_timeout_seconds - silent)
            except Timeout:
                raise LakeBusy(
                    f"{lock.lock_file}: another run held {what} for over {self.lock_timeout_seconds:g} s "
                    "([storage] lock_timeout_seconds); nothing was published by this task, run it again"
                ) from None

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise StorageUnusable(
                f"[storage] root = {self.root}: {error.strerror or error}{where}; "
                "expected a folder that this user can write, with room on its disk"
            ) from error
