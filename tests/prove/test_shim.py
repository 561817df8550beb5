"""The library that disturbs runs, and the power cut, shown on a few operations whose outcome is plain."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from operations import ERROR, FULL, KILL, WATCH, compiled, cut_power, logged, points

# new.json replaces old.json without a sync of the folder; part.json is written in three pieces and not synced
PROGRAM = """
import ctypes, os, sys
folder, action, number, log, graves = sys.argv[1:]
os.chdir(folder)
arm = ctypes.CDLL(None).operations_arm
arm(folder.encode(), int(action), ctypes.c_long(int(number)), log.encode(), graves.encode())
with open("new.json", "wb") as file:
    file.write(b"new")
    file.flush()
    os.fsync(file.fileno())
os.replace("new.json", "old.json")
with open("part.json", "wb", buffering=0) as file:
    for piece in (b"one ", b"two ", b"three"):
        file.write(piece)
os.unlink("gone.json")
"""
KINDS = ["create", "write", "fsync", "rename", "create", "write", "write", "write", "unlink"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("library"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    (tmp_path / "graves").mkdir()
    (folder / "old.json").write_text("old")
    (folder / "gone.json").write_text("gone")
    return folder


def run(library: Path, folder: Path, action: int, number: int = 0) -> subprocess.CompletedProcess[str]:
    places = (str(folder), str(action), str(number), str(folder.parent / "log"), str(folder.parent / "graves"))
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *places],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        start_new_session=True,
    )


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_each_operation_is_logged_and_of_three_writes_the_first_and_the_last_are_points(library, folder):
    assert run(library, folder, WATCH).returncode == 0
    operations = logged(folder.parent / "log")
    assert [operation.kind for operation in operations] == KINDS
    assert [operation.number for operation in points(operations)] == [1, 2, 3, 4, 5, 6, 8, 9]


def test_a_program_is_killed_before_the_operation_of_that_number(library, folder):
    assert run(library, folder, KILL, 7).returncode == -9
    assert contents(folder) == {"gone.json": "gone", "old.json": "new", "part.json": "one "}


def test_a_disk_that_is_full_takes_half_of_one_more_write_and_nothing_after_it(library, folder):
    ended = run(library, folder, FULL, 7)
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert contents(folder)["part.json"] == "one tw"


def test_an_error_of_the_disk_meets_one_operation(library, folder):
    ended = run(library, folder, ERROR, 4)
    assert "Input/output error" in ended.stderr
    assert contents(folder) == {"gone.json": "gone", "new.json": "new", "old.json": "old"}


def test_a_power_cut_may_take_back_all_names_that_are_not_synced(library, folder):
    run(library, folder, WATCH)
    cut_power(folder.parent / "log", folder.parent / "graves", folder, "everything", random.Random(1))
    assert contents(folder) == {"gone.json": "gone", "old.json": "old"}


def test_a_power_cut_may_take_only_data_that_is_not_synced(library, folder):
    run(library, folder, WATCH)
    cut_power(folder.parent / "log", folder.parent / "graves", folder, "data", random.Random(1))
    found = contents(folder)
    assert found.pop("part.json") in ("", "\0" * len("one two three"))
    assert found == {"old.json": "new"}
