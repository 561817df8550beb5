"""python -m pipeline quarantine counts, prints and exports discarded records; control characters are escaped."""

import base64
import datetime as dt
import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
from commands import Said, pipeline
from depth import deep
from feeds import order
from lake import LakeUnderTest
from processes import DEADLINE_SECONDS, REPOSITORY

from pipeline.lake.lake import Lake
from pipeline.observe.quarantine import Choice, records

AS_OF = dt.datetime(2025, 1, 20, 12)
# JSON may hold these: the C1 form of ESC [, and what turns the direction of writing
STEERING = '{"created_at": "2025-01-16", "x": "\x9b2J \u202e \x7f"}'.encode()
# this would clear the screen and change the window's title
NO_JSON = b'{"order_id": "o_7" \x1b[2J\x1b]0;owned\x07'
NOT_UTF8 = b'{"order_id": "\xff\xfe"}'
NAMELESS = b'{"created_at": "2025-01-15T10:00:00Z", "amount": 1.50}'
UNDATED = b'{"order_id": "o_8"}'
SENT = [order("o_1"), NAMELESS, order("o_2", created_at="2025-01-16"), STEERING, NO_JSON, NOT_UTF8, UNDATED]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> LakeUnderTest:
    """A lake with two good orders on two dates and five records in quarantine; one row of users.csv is there, too."""
    lake = LakeUnderTest(tmp_path_factory.mktemp("kept"))
    with lake.users_csv.open("a") as users:
        users.write(",nobody@example.org,2024-05-01T08:00:00Z,DE\n")
    assert lake.run(SENT, AS_OF), lake.errors
    return lake


@pytest.fixture
def built(kept: LakeUnderTest, lake: LakeUnderTest) -> LakeUnderTest:
    """A copy of that lake."""
    shutil.copytree(kept.root, lake.root)
    return lake


@pytest.fixture
def ask(built: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the command with some options."""
    return lambda *options: pipeline(capsys, "quarantine", *built.options(), *options)


def words(lake: LakeUnderTest, *options: str) -> list[str]:
    return [sys.executable, "-m", "pipeline", "quarantine", *lake.options(), *options]


def test_discarded_records_are_counted_by_date_and_reason(ask):
    said = ask()
    assert (said.code, said.err) == (0, "")
    assert [line.split() for line in said.out.splitlines()[:-1]] == [
        ["date", "reason", "records"],
        ["2025-01-15", "missing_order_id", "1"],
        ["2025-01-16", "missing_order_id", "1"],
        ["undated", "malformed_json", "2"],
        ["undated", "missing_created_at", "1"],
        ["dim_user", "missing_user_id", "1"],
    ]
    assert said.out.splitlines()[-1].startswith("6 discarded record(s)")


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (("--date", "2025-01-15"), [NAMELESS]),
        (("--date", "2025-01-14..2025-01-15,undated"), [NAMELESS, NO_JSON, NOT_UTF8, UNDATED]),
        (("--reason", "missing_created_at,missing_user_id", "--date", "undated"), [UNDATED]),
        (("--reason", "malformed_json"), [NO_JSON, NOT_UTF8]),
        (("--date", "2025-01-17"), []),
    ],
)
def test_date_and_reason_choose_the_records(ask, tmp_path, options, chosen):
    target = tmp_path / "records.parquet"
    said = ask("--export", str(target), *options)
    assert said.out.splitlines()[-1] == f"{len(chosen)} record(s) written to {target}"
    assert sorted(pq.read_table(target)["record"].to_pylist()) == sorted(chosen)


def test_records_are_shown_as_they_came_one_a_line_but_nothing_in_them_steers_a_terminal(ask):
    said = ask("--show")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert len(lines) == 6
    assert lines[0] == f"2025-01-15  missing_order_id    {NAMELESS.decode()}"
    assert lines[1].endswith(r'"x": "\x9b2J \u202e \x7f"}')
    assert lines[2].endswith(r'{"order_id": "o_7" \x1b[2J\x1b]0;owned\x07')
    assert lines[3].endswith(r'{"order_id": "\xff\xfe"}')
    assert said.out.replace("\n", "").isprintable()


def test_a_real_terminal_gets_no_escape_sequence_from_a_record(built):
    mine, its = pty.openpty()
    done = subprocess.Popen(
        words(built, "--show", "--reason", "malformed_json"), cwd=REPOSITORY, stdout=its, stderr=its
    )
    assert done.wait(DEADLINE_SECONDS) == 0
    os.close(its)
    said = os.read(mine, 1 << 16)
    os.close(mine)
    assert b"owned" in said
    assert b"\x1b" not in said
    assert b"\x07" not in said


def test_the_first_ones_are_shown_and_how_many_more_there_are_is_said_beside(ask):
    said = ask("--show", "2")
    assert (said.code, len(said.out.splitlines()), said.err) == (0, 2, "4 more\n")


@deep("quarantine on a terminal")
def test_a_reader_that_has_seen_enough_is_no_error_and_neither_is_one_without_such_characters(built):
    pipeline = f"set -o pipefail; {shlex.join(words(built, '--show'))} | head -c 1"
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(["bash", "-c", pipeline], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2", "")
    closed = f"set -o pipefail; {shlex.join(words(built, '--show'))} | true"
    done = subprocess.run(
        ["bash", "-c", closed], cwd=REPOSITORY, capture_output=True, text=True, env=os.environ | ascii_only
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_export_has_every_record_byte_for_byte_with_its_date_place_and_reason(ask, tmp_path):
    for name in ("all.ndjson", "all.parquet"):
        assert ask("--export", str(tmp_path / name)).code == 0
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert [(row["date"], row["position"], row["reason"], row["record"]) for row in rows[:-1]] == [
        ("2025-01-15", 1, "missing_order_id", NAMELESS),
        ("2025-01-16", 1, "missing_order_id", STEERING),
        ("undated", 0, "malformed_json", NO_JSON),
        ("undated", 1, "malformed_json", NOT_UTF8),
        ("undated", 2, "missing_created_at", UNDATED),
    ]
    lines = [json.loads(line) for line in (tmp_path / "all.ndjson").read_text(encoding="ascii").splitlines()]
    for line in lines:
        encoded = line.pop("record_base64", None)
        line["record"] = base64.b64decode(encoded) if encoded else line["record"].encode()
    assert lines == rows
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("records.csv", "expected a name that ends in .ndjson or .parquet"),
        ("nowhere/records.ndjson", "No such file or directory"),
        ("lake/curated/records.ndjson", "lies in the lake's folder"),
        ("lake/quarantine/date=2025-01-15/orders.parquet", "lies in the lake's folder"),
        ("warehouse.db", "is the file of [warehouse] path"),
    ],
)
def test_a_file_that_cannot_be_exported_to_is_one_line_and_nothing_is_changed(ask, built, tmp_path, target, told):
    before = built.files()
    said = ask("--export", str(tmp_path / target))
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert told in said.err
    assert built.files() == before


def test_an_export_that_fails_leaves_the_file_of_before(ask, built, tmp_path):
    target = tmp_path / "records.ndjson"
    target.write_text("of before")
    built.root.joinpath("quarantine/date=2025-01-16/orders.parquet").write_bytes(b"PAR1 no more")
    said = ask("--export", str(target))
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "quarantine/date=2025-01-16/orders.parquet: " in said.err
    assert target.read_text() == "of before"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("date", ["yesterday", "2025-01-16..2025-01-15", "", "undated,"])
def test_a_date_that_is_none_is_one_line_that_says_what_was_expected(ask, date):
    said = ask("--date", date)
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert f"--date {date}: expected a date such as 2025-01-15" in said.err


def test_nothing_in_quarantine_is_said_with_and_without_a_lake(ask, lake, capsys):
    assert ask("--date", "2025-01-17").out.startswith("nothing in quarantine of that kind")
    said = pipeline(capsys, "quarantine", *lake.options(), "--storage-root", str(lake.root / "elsewhere"), "--show")
    assert (said.code, said.out) == (0, f"nothing in quarantine ({lake.root}/elsewhere/quarantine)\n")


def test_a_file_that_a_run_takes_away_while_the_others_are_read_is_passed_over(built):
    storage = Lake(built.root)
    reading = records(storage, Choice())
    assert next(reading).record == NAMELESS
    built.root.joinpath("quarantine/date=2025-01-16/orders.parquet").unlink()
    assert {found.date for found in reading} == {"undated", "dim_user"}


def test_a_run_that_publishes_does_not_make_it_wait(ask, built):
    with Lake(built.root).work.locked():
        assert ask().code == 0
