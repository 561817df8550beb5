"""What a run did to files, operation by operation, as tests/prove/operations.c logs it; and a power cut after it."""

import os
import random
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("operations.c")
# as operations.c numbers them
WATCH, KILL, KILL_HALFWAY, FULL, ERROR = range(5)
# operations that change a name in a folder
OF_NAMES = ("create", "rename", "unlink", "mkdir", "rmdir")
# a full disk does not refuse these
NEEDS_NO_ROOM = ("unlink", "rmdir", "open", "cut", "truncate")
# what a power cut takes: all that is not synced; only data; the later names, and data of some files
CUTS = ("everything", "data", "some")


def compiled(folder: Path) -> Path:
    """The library of operations.c, built in the folder. Skips the test where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    library = folder / "operations.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True)
    return library


@dataclass(frozen=True)
class Operation:
    """One line of the log. `other` is the path to which a rename moves."""

    number: int
    kind: str
    inode: int
    offset: int
    size: int
    path: str
    other: str

    @property
    def name(self) -> str:
        """The name that is there after the operation."""
        return self.other or self.path


def logged(log: Path) -> list[Operation]:
    """The operations of a run, by number; a line that a kill has cut off is left out."""
    found = []
    for line in log.read_text().split("\n")[:-1]:
        number, kind, inode, offset, size, path, other = line.split("\t")
        found.append(Operation(int(number), kind, int(inode), int(offset), int(size), path, other))
    return sorted(found, key=lambda operation: operation.number)


def points(operations: list[Operation]) -> list[Operation]:
    """The operations at which a run is disturbed: of consecutive writes to one file the first and the last."""
    of_file: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        of_file[operation.path].append(operation)
    inner = set()
    for made in of_file.values():
        for before, operation, after in zip(made, made[1:], made[2:], strict=False):
            if before.kind == operation.kind == after.kind == "write":
                inner.add(operation.number)
    return [operation for operation in operations if operation.number not in inner]


def strided(found: list[Operation], most: int | None, draw: random.Random) -> list[Operation]:
    """At most `most` of the points, evenly apart, from a drawn one on."""
    if most is None or len(found) <= most:
        return found
    apart = len(found) / most
    first = draw.random() * apart
    return [found[int(first + number * apart)] for number in range(most)]


def cut_power(log: Path, graves: Path, folder: Path, cut: str, draw: random.Random) -> None:
    """Take back what the killed run had not synced below the folder; `cut` is one of CUTS."""
    operations = logged(log)
    synced: dict[str, int] = {}
    for operation in operations:
        if operation.kind == "fsync":
            synced[operation.path] = operation.number
    names = [one for one in operations if one.kind in OF_NAMES]
    volatile = [one for one in names if synced.get(os.path.dirname(one.name), 0) < one.number]
    kept = {"everything": 0, "data": len(volatile), "some": draw.randrange(len(volatile) + 1)}[cut]
    for operation in reversed(volatile[kept:]):
        _undo(operation, graves / str(operation.number))
    _lose_data(operations, graves, folder, cut, draw)


def _undo(operation: Operation, grave: Path) -> None:
    """Take back one change of a name, where it is still as the operation left it."""
    path, name, kind = Path(operation.path), Path(operation.name), operation.kind
    is_same = os.path.lexists(name) and (kind == "mkdir" or os.lstat(name).st_ino == operation.inode)
    if kind in ("create", "mkdir") and is_same:
        shutil.rmtree(name) if name.is_dir() else name.unlink()
    elif kind == "rename" and is_same:
        if path.parent.is_dir():
            os.rename(name, path)
        else:
            shutil.rmtree(name) if name.is_dir() else name.unlink()
    elif kind == "rmdir" and path.parent.is_dir() and not path.exists():
        path.mkdir()
    if kind in ("rename", "unlink") and grave.exists() and name.parent.is_dir() and not name.exists():
        os.link(grave, name)


def _lose_data(operations: list[Operation], graves: Path, folder: Path, cut: str, draw: random.Random) -> None:
    """Cut each file with data that is not synced to what is, or let zeros be there instead."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    made: dict[int, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.kind in ("fsync", "create"):  # a new file may have the inode of one that was deleted
            made[operation.inode].clear()
        elif operation.kind in ("write", "truncate", "cut"):
            made[operation.inode].append(operation)
    for path in files:
        volatile = made[path.stat().st_ino]
        if not volatile or (cut == "some" and draw.random() < 0.5):
            continue
        grave = graves / str(volatile[0].number)
        if volatile[0].kind == "cut" and grave.exists() and draw.random() < 0.5:
            shutil.copyfile(grave, path)
            continue
        size, first = path.stat().st_size, min(one.offset for one in volatile)
        os.truncate(path, min(size, first))
        if draw.random() < 0.5:
            os.truncate(path, size)
