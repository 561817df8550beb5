"""The files of a lake that stay on this host: locks, scratch files, and the spools that runs read records from."""

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

# folders for staged files, for a dump split by date, and for the API windows that a run is reading
STAGING, DUMP_SPOOLS, WINDOW_SPOOLS = ".staging", ".spool", ".windows"
PUBLISHING, ASKING = ".lock", ".extracting"
# filelock's default of 0.05 is longer than a task of one small date holds the lock
SECONDS_BETWEEN_TRIES = 0.005
EMPTYING_TRIES = 10
# no event for a shorter wait: tasks of one run wait for each other, too
SILENT_SECONDS = 0.5


@dataclass(frozen=True)
class Spool:
    """A folder that a run reads its records from. After a kill, the next run continues with the same folder."""

    folder: str

    def path(self, file: str) -> str:
        """The path of a file in the spool."""
        return f"{self.folder}/{file}"

    def begin(self) -> None:
        """Make the spool an empty folder; an earlier content is deleted."""
        self.remove()
        os.makedirs(self.folder)

    def read(self, file: str) -> bytes:
        """The content of a file. Raises OSError."""
        with open(self.path(file), "rb") as opened:
            return opened.read()

    def put(self, file: str, content: str) -> None:
        """Replace a file atomically."""
        with open(self.path(f"{file}.new"), "w", encoding="utf-8") as opened:
            opened.write(content)
        os.replace(self.path(f"{file}.new"), self.path(file))

    def truncate(self, file: str, length: int) -> None:
        """Cut a file to its first `length` bytes."""
        os.truncate(self.path(file), length)

    def move_to(self, other: "Spool") -> None:
        """Rename this folder to the folder of the other spool, which must not exist."""
        os.makedirs(os.path.dirname(other.folder), exist_ok=True)
        os.replace(self.folder, other.folder)

    def remove(self) -> None:
        """Delete the folder, if it exists."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Work:
    """Locks, scratch files and spools below the folder `root` of a lake."""

    root: Path
    lock_timeout_seconds: float

    def path(self, name: str) -> str:
        """The path of a file or folder that is not published."""
        return f"{self.root}/{name}"

    def scratch(self, name: str) -> str:
        """The path of a scratch file, which exists only while the lake's lock is held."""
        return self.path(f"{STAGING}/{name}")

    def spool(self, kind: str, name: str) -> Spool:
        """The spool of one dump or of one API window; `kind` is DUMP_SPOOLS or WINDOW_SPOOLS."""
        return Spool(self.path(f"{kind}/{name}"))

    def has(self, kind: str) -> bool:
        """Whether the folder STAGING, DUMP_SPOOLS or WINDOW_SPOOLS exists."""
        return os.path.lexists(self.path(kind))

    def size_of(self, kind: str) -> int:
        """The bytes in STAGING, DUMP_SPOOLS or WINDOW_SPOOLS; files that another process deletes do not count."""
        sizes = 0
        for folder, _, files in os.walk(self.path(kind)):
            for file in files:
                with suppress(OSError):
                    sizes += os.stat(f"{folder}/{file}").st_size
        return sizes

    def trace(self) -> int:
        """A number that changes when a run has held the lake's lock, because the run makes STAGING. Raises OSError."""
        return os.stat(self.root).st_mtime_ns

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lake's lock, under which alone files are published. Deletes the staged files of a killed run.

        Raises LakeBusy after lock_timeout_seconds, and StorageUnusable if the root cannot be written.
        """
        with self._held(PUBLISHING, "the lake's lock"), self._usable():
            try:
                self._make_staging()
                yield
            finally:
                self.remove(STAGING)

    def _make_staging(self) -> None:
        """Make STAGING, without what a killed run has left in it. Raises OSError if it is a link or stays full."""
        folder = self.path(STAGING)
        for _ in range(EMPTYING_TRIES):
            self.remove(STAGING)
            # an executor of the killed run may have written to it meanwhile
            with suppress(FileExistsError):
                os.mkdir(folder)
                return
        os.mkdir(folder)

    @contextmanager
    def extracting(self) -> Iterator[None]:
        """Hold the lock for asking an API, for minutes or hours. Other runs can publish meanwhile.

        Raises LakeBusy and StorageUnusable as locked() does.
        """
        with self._held(ASKING, "the right to ask the API"):
            yield

    @contextmanager
    def extracting_if_free(self) -> Iterator[bool]:
        """Try to take the lock for asking an API, without waiting. Yields whether it is held now."""
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
        """Delete STAGING, DUMP_SPOOLS or WINDOW_SPOOLS. Call it under the lock that protects the folder."""
        shutil.rmtree(self.path(kind), ignore_errors=True)

    def remove_if_empty(self, kind: str) -> None:
        """Delete DUMP_SPOOLS or WINDOW_SPOOLS if it has no spool that a run can continue with."""
        with suppress(OSError):
            os.rmdir(self.path(kind))

    def remove_idle_windows(self) -> None:
        """Delete WINDOW_SPOOLS unless a run is asking an API. An extraction that is killed at its end leaves it."""
        if self.has(WINDOW_SPOOLS):
            with self.extracting_if_free() as free:
                if free:
                    self.remove(WINDOW_SPOOLS)

    def in_use(self, name: str) -> bool:
        """Whether a run holds the lock PUBLISHING or ASKING. Writes nothing and makes no run wait.

        It takes a shared lock and releases it at once, because /proc/locks lists no locks of other containers.
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
                    "([storage] lock_timeout_seconds); this task has published nothing; run again"
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
