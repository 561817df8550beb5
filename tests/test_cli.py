"""The command line for people: one line for a mistake, exit codes for cron, and a plan that writes nothing."""

import configparser
import datetime as dt
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from api import scripted
from depth import some
from feeds import order
from lake import LakeUnderTest
from warm import ran

from pipeline import config
from pipeline.settings.luigi_defaults import DEFAULTS

REPOSITORY = Path(__file__).resolve().parents[1]
SENT = [order("o_1"), order("o_2", created_at="2025-01-16")]
TASK_FAILED, UNHANDLED = 30, 40  # [retcode] of luigi.cfg


class Said:
    """What a command answered."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that are no events of the run."""
        return [line for line in self.err.splitlines() if line.strip() and "event=" not in line]


@pytest.fixture
def shell(lake: LakeUnderTest, tmp_path: Path):
    """Runs `python -m pipeline …` or `luigi …` in another folder, with this lake's settings before the words given."""
    lake.offer(SENT)

    def shell(*words: str, config: str = "", bare: bool = False) -> Said:
        program = ["luigi", "--module", "pipeline"] if words[0] == "luigi" else ["pipeline", words[0]]
        (tmp_path / "more.cfg").write_text((REPOSITORY / "luigi.cfg").read_text() + config)
        environment = os.environ | {"LUIGI_CONFIG_PATH": str(tmp_path / "more.cfg")}
        return Said(ran(*program, *([] if bare else lake.options()), *words[1:], cwd=tmp_path, env=environment))

    return shell


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder under it, with its size and when it was changed last."""
    found = {
        str(path.relative_to(folder)): path.stat() for path in sorted(folder.rglob("*")) if path.name != "more.cfg"
    }
    return {name: (stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in found.items()}


# Mistakes: the words on the command line, and what the line must say

MISTAKEN = "wrong words and settings"
MISTAKES = {
    ("--since", "yesterday"): "--since yesterday: expected ISO 8601",
    ("--since", "2025-02-30"): "--since 2025-02-30: expected ISO 8601",
    ("--since", "2025-01-15T25:00:00Z"): "--since 2025-01-15T25:00:00Z: expected ISO 8601",
    ("--until", "15.01.2025"): "--until 15.01.2025: expected ISO 8601",
    ("--since", "2025-01-17", "--until", "2025-01-15"): "--since 2025-01-17T00:00:00Z: expected a time before",
    ("--since", "2025-01-15", "--until", "2025-01-15T01:00+01:00"): "--since 2025-01-15T00:00:00Z: expected a time",
    ("--since", "2150-01-01"): "--since 2150-01-01T00:00:00Z: expected a time before",
    ("--force", "--reprocess"): "--force with --reprocess",
    ("--orders-api-settle-hours", "soon"): "settle-hours soon: expected hours",
    ("--orders-api-settle-hours", "-1"): "settle-hours -1: expected hours",
    ("--orders-api-settle-hours", "nan"): "settle-hours nan: expected hours",
    ("--orders-api-max-vanished-share", "1.5"): "max-vanished-share 1.5: expected a share",
    ("--storage-lock-timeout-seconds", "forever"): "lock-timeout-seconds forever: expected seconds",
    ("--storage-fsync", "maybe"): "fsync maybe: expected true or false",
    ("--engine-threads", "1.5"): "threads 1.5: expected a whole number",
    ("--engine-memory-limit", "lots"): "memory-limit lots: expected",
    ("--engine-memory-limit", "0MB"): "memory-limit 0MB: expected a size from 16MB",
    ("--engine-memory-limit", "99999999999999999999GB"): "memory-limit 99999999999999999999GB: expected a size from",
    ("--run-dates-per-task=-3",): "dates-per-task -3: expected a whole number",
    ("--run-as-of", "now"): "as-of now: expected ISO 8601",
    ("--run-as-of", "2150-01-01"): "as_of = 2150-01-01T00:00:00Z: expected a time in the past",
}


# a time, a range, flags that exclude each other, and settings of several types
TYPICAL = [
    *(("--since", "yesterday"), ("--since", "2025-01-17", "--until", "2025-01-15"), ("--force", "--reprocess")),
    *(("--orders-api-settle-hours", "soon"), ("--storage-fsync", "maybe"), ("--run-as-of", "2150-01-01")),
]


@pytest.mark.parametrize("words", some(MISTAKES, TYPICAL, MISTAKEN), ids=" ".join)
def test_a_mistake_in_a_run_is_one_line_that_names_it_and_nothing_is_written(shell, lake, words):
    said = shell("run", *words)
    assert said.code in (2, UNHANDLED)
    assert len(said.errors) == 1, said.err
    assert MISTAKES[words] in said.errors[0]
    assert not lake.root.exists()


ALL_COMMANDS = "run, plan, report, quarantine, doctor, drop, erase or views"
NO_SUCH = {
    ("status",): [f"status: no such command; expected {ALL_COMMANDS}"],
    ("plna",): [f"plna: no such command; perhaps plan is meant; expected {ALL_COMMANDS}"],
    ("Doctor", "--quick"): [f"Doctor: no such command; perhaps doctor is meant; expected {ALL_COMMANDS}"],
    ("plan", "everything"): ["everything: a word that belongs to no option; see python -m pipeline plan --help"],
    ("--since", "2025-01-15", "plan"): ["plan: a word that belongs to no option; see python -m pipeline run --help"],
    ("run", "-x"): ["-x: no such option; see python -m pipeline run --help"],
    ("run", "--sinse", "2025-01-15"): [
        "--sinse: no such option; perhaps --since is meant; see python -m pipeline run --help"
    ],
    ("plan", "--storage-rot=x"): [
        "--storage-rot: no such option; perhaps --storage-root is meant; see python -m pipeline plan --help"
    ],
    ("run", "--storage-root"): ["--storage-root: expected one argument; see python -m pipeline run --help"],
    ("doctor", "--storage-fsync", "maybe", "lake"): [
        "lake: a word that belongs to no option; see python -m pipeline doctor --help"
    ],
}


@pytest.mark.parametrize("words", NO_SUCH, ids=" ".join)
def test_a_word_that_means_nothing_is_one_line_that_says_what_does(shell, lake, words):
    said = shell(*words, bare=True)
    assert (said.code, said.out) == (2, "")
    assert said.errors == NO_SUCH[words]


@pytest.mark.parametrize(
    "words", [("--since", "yesterday"), ("--force", "--reprocess"), ("--engine-threads", "x")], ids=" ".join
)
@pytest.mark.parametrize("command", ["plan", "luigi"])
def test_plan_and_luigi_itself_refuse_a_mistake_alike(shell, lake, command, words):
    said = shell(command, *(("RunAll", "--local-scheduler") if command == "luigi" else ()), *words)
    assert said.code not in (0, None)
    assert len(said.errors) == 1, said.err
    assert words[0] in said.errors[0]
    assert not lake.root.exists()


@pytest.mark.parametrize("text", ["2025-13-01", "2025-01-15..2025-01-14", "2025-01-15T00:00:00Z", "15", "2025-01-15,"])
def test_a_date_that_is_none_is_one_line_that_names_it(shell, text):
    said = shell("luigi", "WriteFactOrder", "--local-scheduler", "--date", text)
    assert said.code == UNHANDLED
    assert len(said.errors) == 1, said.err
    assert f"--date {text}: expected a date" in said.errors[0]


CONFIG_MISTAKES = {
    "[orders_api]\nsettle_hours = soon": "hours from 0 to 10000",
    "[orders_api]\nmax_vanished_share = 2": "a share from 0 to 1",
    "[orders_fields]\nitems.qty = n": "a path such as $.id",
    "[orders_fields]\namount = $.a rfc2822": "a path such as $.id or $.customer.id, with nothing or a form behind it: "
    "minor_units, stripe_minor_units, hundredths",
    "[storage]\nlock_timeout_seconds = -1": "seconds from 0 to 86400",
    "[storage]\nfsync = perhaps": "true or false",
    "[engine]\nthreads = many": "a whole number",
    "[engine]\nmemory_limit = big": "a size from 16MB to 1000TB with its unit",
    "[run]\ndates_per_task = x": "a whole number",
    "[run]\nas_of = tomorrow": "ISO 8601",
    "[RunAll]\nsince = yesterday": "ISO 8601",
}


@pytest.fixture
def in_folder(tmp_path: Path):
    """Runs a command in a folder of its own, whose luigi.cfg is this text (None: there is none), with no options."""

    def in_folder(text: str | bytes | None, *words: str, **environment: str) -> Said:
        (tmp_path / "here").mkdir(exist_ok=True)
        if text is not None:
            (tmp_path / "here/luigi.cfg").write_bytes(text if isinstance(text, bytes) else text.encode())
        program = ["luigi"] if words[0] == "luigi" else ["pipeline", words[0]]
        outer = {name: value for name, value in os.environ.items() if name != "LUIGI_CONFIG_PATH"}
        return Said(ran(*program, *words[1:], cwd=tmp_path / "here", env=outer | environment))

    return in_folder


def with_line(section: str, line: str) -> str:
    """luigi.cfg with this line in this section, in place of what it says of the key."""
    key = line.split(" ")[0]
    text = (REPOSITORY / "luigi.cfg").read_text().replace(f"\n{key} =", f"\n# {key} =") + "\n[RunAll]\n"
    return text.replace(f"{section}\n", f"{section}\n{line}\n")


@pytest.mark.parametrize(
    "lines", some(CONFIG_MISTAKES, list(CONFIG_MISTAKES)[::3], MISTAKEN), ids=lambda lines: lines.replace("\n", " ")
)
def test_a_wrong_value_in_luigi_cfg_is_one_line_that_names_file_section_and_key(in_folder, tmp_path, lines):
    section, line = lines.split("\n")
    said = in_folder(with_line(section, line), "run")
    assert said.code == UNHANDLED
    assert len(said.errors) == 1, said.err
    assert f" luigi.cfg: {section} {line}: expected {CONFIG_MISTAKES[lines]}" in said.errors[0]
    assert not (tmp_path / "here/output").exists()


def test_a_wrong_value_in_a_file_that_luigi_config_path_names_is_of_that_file(in_folder, tmp_path):
    (tmp_path / "more.cfg").write_text("[storage]\nroot = elsewhere\nfsync = maybe\n")
    said = in_folder(with_line("[engine]", "threads = 1"), "run", LUIGI_CONFIG_PATH=str(tmp_path / "more.cfg"))
    assert f" {tmp_path}/more.cfg: [storage] fsync = maybe: expected true or false" in said.err


def test_luigi_itself_names_file_section_and_key_too(in_folder):
    words = ("luigi", "--module", "pipeline", "WriteFactOrder", "--local-scheduler", "--date", "2025-01-15")
    said = in_folder(with_line("[storage]", "fsync = maybe"), *words)
    assert said.code == UNHANDLED
    assert len(said.errors) == 1, said.err
    assert " luigi.cfg: [storage] fsync = maybe: expected true or false" in said.err


def test_a_wrong_option_is_named_as_such_whatever_luigi_cfg_says(in_folder):
    said = in_folder(with_line("[storage]", "fsync = maybe"), "run", "--storage-fsync", "perhaps")
    assert len(said.errors) == 1, said.err
    assert "--storage-fsync perhaps: expected true or false" in said.errors[0]
    assert "luigi.cfg" not in said.err


def test_doctor_says_of_each_wrong_value_where_it_stands(in_folder):
    said = in_folder(with_line("[storage]", "fsync = maybe"), "doctor", "--engine-threads", "many")
    assert said.code == 1
    of_settings = [line[9:].split(maxsplit=1)[1] for line in said.out.splitlines() if line[9:].startswith("luigi.cfg")]
    assert of_settings == [
        "luigi.cfg: [storage] fsync = maybe: expected true or false",
        "--engine-threads many: expected a whole number from 0 to 1024; 0: all cores",
    ]


# A luigi.cfg that is none: its text, and what the line must say

MALFORMED = {
    b"# settings\nurl = hunter2\n[storage]\n": "luigi.cfg, line 2: a line before the first section; expected a",
    b"[storage]\nroot hunter2\n": "luigi.cfg, line 2: neither a [section] nor a key with a value; expected key = value",
    b"[storage]\n[engine]\n[storage]\n": "luigi.cfg, line 3: [storage] appears twice; expected each section once",
    b"[storage]\nroot = a\nroot = hunter2\n": "luigi.cfg, line 3: [storage] root appears twice; expected each",
    b"[storage]\n# caf\xe9\n": "luigi.cfg, line 2: bytes that are not UTF-8; expected text in UTF-8",
}


@pytest.mark.parametrize("text", some(MALFORMED, list(MALFORMED)[::2], MISTAKEN), ids=repr)
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_luigi_cfg_that_cannot_be_parsed_is_one_line_with_its_file_and_line(in_folder, command, text):
    said = in_folder(text, command)
    assert said.code == 1
    (line,) = said.errors
    assert line.startswith(f"UnreadableSettings: {MALFORMED[text]}")
    assert "hunter" not in said.out + said.err


def test_a_file_of_luigi_config_path_that_cannot_be_parsed_is_named(in_folder, tmp_path):
    (tmp_path / "more.cfg").write_text("[storage\n")
    said = in_folder(b"[storage]\nroot = x\n", "plan", LUIGI_CONFIG_PATH=str(tmp_path / "more.cfg"))
    assert said.code == 1
    assert said.errors[0].startswith(f"UnreadableSettings: {tmp_path}/more.cfg, line 1: a line before the first")
    assert len(said.errors) == 1


# How a value on line 3 of luigi.cfg refers to something, and what the line must say of it

BROKEN = {
    "${NOWHERE}": "${NOWHERE}: no such environment variable; expected the name of one that is set",
    "${NOWHERE": "${ without a name and }; expected ${NAME}, where NAME is an environment variable",
    "50%": "a single %; expected %% for a percent sign",
    "%(nowhere)s": "%(nowhere)s: no such key in [{section}]; expected a key, or %% for a percent sign",
}


@pytest.mark.parametrize("value", some(BROKEN, list(BROKEN)[:2], MISTAKEN))
@pytest.mark.parametrize("command", ["run", "plan", "luigi"])
def test_a_value_with_a_dollar_or_percent_that_stands_for_nothing_is_one_line(in_folder, tmp_path, command, value):
    words = ["luigi", "--module", "pipeline", "RunAll", "--local-scheduler"] if command == "luigi" else [command]
    exit_codes = "[retcode]\nunhandled_exception = 40\n"
    said = in_folder(f"# settings\n[storage]\nroot = {value}\n{exit_codes}[core]\nlog_level = ERROR\n", *words)
    assert said.code == (1 if command == "plan" else UNHANDLED)
    (line,) = said.errors
    assert f"luigi.cfg, line 3: [storage] root: {BROKEN[value].replace('{section}', 'storage')}" in line
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["luigi.cfg"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("[retcode]\ntask_failed = ${NOWHERE}", ", line 2: [retcode] task_failed: ${NOWHERE}: no such environment"),
        ("[retcode]\ntask_failed = x", ": [retcode] task_failed = x: expected a whole number"),
        ("[core]\nno_lock = maybe", ": [core] no_lock = maybe: expected true or false"),
        ("[core]\nlog_level = LOUD", ": [core] log_level = LOUD: "),
        ("[scheduler]\nretry_delay = never", ": [scheduler] retry_delay = never: expected a number"),
        ("[RunAll]\nforce = maybe", ": [RunAll] force = maybe: expected true or false"),
    ],
)
def test_a_wrong_value_of_luigis_own_is_one_line_and_doctor_tells_it_too(in_folder, lines, told):
    said = in_folder(lines, "run")
    assert said.code == 1
    assert len(said.errors) == 1, said.err
    assert f"luigi.cfg{told}" in said.errors[0]
    said = in_folder(lines, "doctor")
    assert said.code == 1
    assert f"luigi.cfg{told}" in said.out
    assert "Traceback" not in said.err


# Without luigi.cfg

NO_FILE = "event=no_settings_file"
LUIGIS_RUN = ("luigi", "--module", "pipeline", "RunAll", "--local-scheduler")


def told_of_no_file(said: Said) -> list[str]:
    return [line for line in said.err.splitlines() if NO_FILE in line]


def test_without_luigi_cfg_the_exit_codes_and_log_levels_hold_and_one_line_says_so(in_folder, tmp_path):
    said = in_folder(None, "run")
    assert said.code == TASK_FAILED
    (line,) = told_of_no_file(said)
    assert f"no luigi.cfg in {tmp_path}/here" in line
    assert "LUIGI_CONFIG_PATH" in line
    assert "exit codes" not in line
    assert [line.split(":")[0] for line in said.errors] == ["ERROR"]
    assert in_folder(None, "run", "--storage-fsync", "maybe").code == UNHANDLED


def test_without_luigi_cfg_plan_says_so_on_stderr_only(in_folder, lake):
    lake.offer(SENT)
    said = in_folder(None, "plan", "--orders-api-url", str(lake.dump))
    assert (said.code, len(told_of_no_file(said))) == (0, 1)
    assert said.out.splitlines()[-1] == "2 date(s) to build, 0 to skip"


@pytest.mark.parametrize("task", [("RunAll",), ("WriteFactOrder", "--date", "2025-01-15")], ids=lambda words: words[0])
def test_without_luigi_cfg_luigi_itself_ends_with_0_and_is_told_so(in_folder, tmp_path, task):
    said = in_folder(None, "luigi", "--module", "pipeline", *task, "--local-scheduler")
    assert said.code == 0
    (line,) = told_of_no_file(said)
    assert f"no luigi.cfg in {tmp_path}/here" in line
    assert "exit codes are Luigi's own: 0 also for a run that failed" in line


@pytest.mark.parametrize("words", [("run",), LUIGIS_RUN], ids=lambda words: words[0])
def test_with_luigi_cfg_or_a_file_in_its_place_nothing_is_said_of_that(in_folder, tmp_path, words):
    (tmp_path / "more.cfg").write_text("")
    assert told_of_no_file(in_folder(None, *words, LUIGI_CONFIG_PATH=str(tmp_path / "more.cfg"))) == []
    assert told_of_no_file(in_folder("", *words)) == []


def test_a_luigi_cfg_says_only_what_is_different_and_what_it_says_counts(in_folder):
    assert in_folder("[storage]\nfsync = false\n", "run").code == TASK_FAILED
    assert in_folder("[retcode]\ntask_failed = 7\n", "run").code == 7


def test_luigi_cfg_sets_what_holds_without_it_for_luigi_and_for_the_pipeline():
    written = configparser.ConfigParser(interpolation=None)
    written.read(REPOSITORY / "luigi.cfg")
    ours = {section.__name__: dict(section.get_params()) for section in config.SECTIONS}
    assert {name: dict(written[name]) for name in written.sections() if name not in ours} == DEFAULTS
    for section, parameters in ours.items():
        for key, text in written[section].items():
            assert parameters[key].parse(text) == parameters[key].task_value("none", key), (section, key)


def test_doctor_says_where_it_looked_for_luigi_cfg_and_what_counts_instead(in_folder, tmp_path):
    said = in_folder(None, "doctor")
    assert f"none in {tmp_path}/here, so every setting has its default; mend: start in the folder of" in said.out
    assert "so a luigi command that fails ends with 0" in said.out
    assert told_of_no_file(said) == []


NO_PLACE_ON_DISK = ["s3://bucket/x", "S3A://bucket", "file:///srv/x", "", "  "]
PLACES = {
    "--storage-root": "expected a folder on this machine, such as output or /srv/lake, and no URL",
    "--warehouse-path": "expected a file on this machine, such as duckdb_db/warehouse.db, and no URL",
}


@pytest.mark.parametrize("place", some(NO_PLACE_ON_DISK, ["s3://bucket/x", ""], MISTAKEN))
@pytest.mark.parametrize("option", PLACES)
def test_a_bucket_or_nothing_as_a_place_on_disk_is_one_line_and_nothing_is_created(shell, tmp_path, option, place):
    before = tree(tmp_path)
    said = shell("run", option, place)
    assert said.code == UNHANDLED
    assert len(said.errors) == 1, said.err
    assert f"BadSetting: {option} {place.strip() or '(empty)'}: {PLACES[option]}" in said.errors[0]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("words", [("plan",), ("views",), ("luigi", "SeedDims", "--local-scheduler")], ids=" ".join)
@pytest.mark.parametrize("option", PLACES)
def test_every_command_refuses_a_bucket_as_a_place_on_disk(shell, tmp_path, option, words):
    before = tree(tmp_path)
    said = shell(*words, option, "s3://bucket/x")
    assert said.code in (1, UNHANDLED)
    assert len(said.errors) == 1, said.err
    assert f"{option} s3://bucket/x: {PLACES[option]}" in said.errors[0]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("place", ["s3://bucket/x", ""])
@pytest.mark.parametrize(
    ("line", "option"),
    [("root = output", "--storage-root"), ("path = duckdb_db/warehouse.db", "--warehouse-path")],
)
def test_a_bucket_or_nothing_in_luigi_cfg_is_one_line_and_nothing_is_created(
    shell, lake, tmp_path, line, option, place
):
    config = (REPOSITORY / "luigi.cfg").read_text()
    assert f"\n{line}\n" in config
    (tmp_path / "other.cfg").write_text(config.replace(f"\n{line}\n", f"\n{line.split(' ')[0]} = {place}\n"))
    before = tree(tmp_path)
    environment = os.environ | {"LUIGI_CONFIG_PATH": str(tmp_path / "other.cfg")}
    said = Said(ran("pipeline", "run", "--orders-api-url", str(lake.dump), cwd=tmp_path, env=environment))
    assert said.code == UNHANDLED
    assert len(said.errors) == 1, said.err
    section, key = {"--storage-root": ("storage", "root"), "--warehouse-path": ("warehouse", "path")}[option]
    stated = f"{tmp_path}/other.cfg: [{section}] {key} = {place or '(empty)'}"
    assert f"{stated}: {PLACES[option]}" in said.errors[0]
    assert tree(tmp_path) == before


# What the world may lack


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--orders-api-url", "nowhere.json"), "[orders_api] url = nowhere.json: No such file or directory; expected"),
        (("--orders-api-url", "."), "[orders_api] url = .: not a file; expected"),
        (("--storage-root", "/dev/null/lake"), "[storage] root = /dev/null/lake: "),
        (("--warehouse-path", "/dev/null/x.db"), "[warehouse] path = /dev/null/x.db: "),
        (("--warehouse-users-csv", "nowhere.csv"), "[warehouse] users_csv = nowhere.csv: No such file or directory"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)  # fmt: skip
def test_what_is_missing_or_cannot_be_written_is_one_line_and_the_exit_code_of_a_failed_task(shell, words, told):
    said = shell("run", *words)
    assert said.code == TASK_FAILED
    assert len(said.errors) == 1, said.err
    assert told in said.errors[0]


def test_a_dump_that_is_cut_off_is_one_line_and_the_exit_code_of_a_failed_task(shell, lake):
    lake.dump.write_bytes(b"[" + SENT[0])
    said = shell("run")
    assert said.code == TASK_FAILED
    assert len(said.errors) == 1, said.err
    assert f"{lake.dump}: the array is not closed" in said.errors[0]
    assert lake.files().keys() <= {"curated/dim_user.parquet", "curated/dim_product.parquet"}


def test_reprocessing_a_date_that_is_not_landed_is_one_line_that_names_it(shell):
    said = shell("luigi", "WriteFactOrder", "--local-scheduler", "--date", "2025-01-15", "--reprocess")
    assert said.code == TASK_FAILED
    (error,) = [line for line in said.errors if "2025-01-15: not landed" in line]
    assert "run `luigi --module pipeline FetchOrders --date 2025-01-15 --local-scheduler`, then run again" in error
    assert "Traceback" not in said.err


# What works


def test_a_run_exits_with_zero_shows_its_counts_and_the_next_one_has_nothing_to_do(shell, lake):
    said = shell("run", "--since", "", "--run-as-of", "2025-01-20T12:00:00Z")
    assert (said.code, said.errors) == (0, [])
    assert "2025-01-15" in said.out
    assert "built (not landed)" in said.out
    written = lake.written()
    said = shell("run", "-v", "--run-as-of", "2025-01-20T13:00:00+00:00")
    assert (said.code, said.errors) == (0, [])
    assert "skipped (settled, complete)" in said.out
    assert lake.written() == written
    assert len(list(lake.root.glob("runs/*.json"))) == 2


def test_since_chooses_whole_dates_also_through_luigi_and_without_the_word_run(shell, lake):
    lake.offer([order("early", created_at="2025-01-16T00:00:01Z"), *SENT])
    command = [
        "RunAll",
        "--local-scheduler",
        "--since",
        "2025-01-16T13:00:00+01:00",
        "--until",
        "2025-01-16T12:00:00.5Z",
        "--verbose",
    ]
    assert shell("luigi", *command).code == 0
    assert {str(day): [row[0] for row in rows[::2]] for day, rows in lake.curated("fact_order").items()} == {
        "2025-01-16": ["early", "o_2"]
    }


def test_settings_may_come_from_the_file_that_luigi_config_path_names(shell, lake, tmp_path):
    assert shell("run", "--storage-root", str(tmp_path / "other")).code == 0
    assert (tmp_path / "other/curated/date=2025-01-15/fact_order.parquet").exists()
    assert not lake.root.exists()


@pytest.mark.parametrize("command", [("run",), ("luigi", "RunAll", "--local-scheduler")], ids=lambda words: words[0])
def test_each_field_of_an_order_has_an_option(shell, lake, command):
    sent = b'{"orders": [{"order_id": "o_1", "created_at": "2025-01-15", "items": [{"n": 7}]}], "total": 1}'
    options = ["--since", "2025-01-15", "--until", "2025-01-16", "--orders-fields-items-qty", "$.n"]
    with scripted(lambda *_: (200, {}, sent)) as api:
        said = shell(*command, "--orders-api-url", api.url, *options)
    assert said.code == 0, said.err
    assert [row[4] for rows in lake.curated("fact_order").values() for row in rows] == [7]


def test_plan_writes_nothing_before_and_after_a_run_and_says_why(shell, lake, tmp_path):
    as_of = ["--run-as-of", "2025-01-20T12:00:00Z"]
    before = tree(tmp_path)
    said = shell("plan", *as_of)
    assert (said.code, said.errors) == (0, [])
    assert said.out.splitlines() == [
        "2025-01-15  fetch      not landed",
        "2025-01-16  fetch      not landed",
        "2 date(s) to build, 0 to skip",
    ]
    assert tree(tmp_path) == before
    assert lake.run(None, dt.datetime(2025, 1, 16, 12))
    (lake.root / "curated/date=2025-01-15/order_items.parquet").unlink()
    lake.offer([*SENT, order("o_3")])
    before = tree(tmp_path)
    asked = [
        shell("plan", "--all", *as_of).out,
        shell("plan", "--force", *as_of).out,
        shell("plan", "--reprocess", *as_of).out,
    ]
    assert tree(tmp_path) == before
    assert "2025-01-15  write      order_items file lost" in asked[0]
    assert "2025-01-16  fetch      open" in asked[0]
    assert "2025-01-16  fetch      --force" in asked[1]
    assert "2025-01-16  normalize  --reprocess" in asked[2]


def test_plan_names_a_settled_date_that_differs_in_the_source_and_the_flag(shell, lake):
    assert lake.run(None, dt.datetime(2025, 1, 20, 12))
    lake.offer([*SENT, order("o_3")])
    said = shell("plan", "--run-as-of", "2025-01-20T13:00:00Z")
    assert "2025-01-15  skip       settled, complete; the source differs: --force extracts it again" in said.out
    assert "2025-01-16" not in said.out
    assert "0 date(s) to build, 2 to skip" in said.out


@pytest.mark.parametrize("command", [(), ("run",), ("plan",)], ids=lambda words: " ".join(words) or "pipeline")
def test_help_shows_the_commands_and_their_options(shell, command):
    said = shell(*command, "--help", bare=True) if command else shell("--help", bare=True)
    assert said.code == 0
    expected = (
        ("--since", "--until", "--force", "--reprocess", "--allow-shrink") if command else ("run", "plan", "views")
    )
    assert all(option in said.out for option in expected)
    assert "--storage-root" in said.out


def test_luigis_own_help_explains_the_options_of_run_all(shell):
    said = shell("luigi", "RunAll", "--help", bare=True)
    assert said.code == 0
    explained = " ".join(said.out.split())
    assert "start of the range; the whole UTC date of this time is run" in explained
    assert "rebuild the chosen dates from the landed raw files" in explained


def test_both_commands_explain_the_options_of_run_all_in_the_same_words(shell):
    of_luigi, of_people = (
        dict(re.findall(r"^  (--[a-z-]+)(?: [A-Z_]+)?\s+([a-z].*?)(?=^  -|^\S|\Z)", said.out, re.M | re.S))
        for said in (shell("luigi", "RunAll", "--help", bare=True), shell("run", "--help", bare=True))
    )
    shared = {"--since", "--until", "--force", "--reprocess", "--allow-shrink", "--changed-since"}
    assert shared <= of_people.keys()
    assert {name: of_luigi[name].split() for name in shared} == {name: of_people[name].split() for name in shared}


def test_a_key_that_nobody_reads_is_named_without_its_value(shell):
    said = shell("run", config="\n[alert]\nurl = hunter1\n[warehouses]\nuser_csv = hunter2\n")
    assert said.code == 0, said.err
    assert "event=unknown_setting" in said.err
    assert "[warehouse]" in said.err
    assert "hunter" not in said.err


# The name of the command

SCRIPT = "orders-lake"
AS_A_SCRIPT = """\
#!{python}
import sys
from {module} import {function}
if __name__ == "__main__":
    sys.exit({function}())
"""


@pytest.fixture
def script(tmp_path: Path):
    """Runs the console script that setup.cfg names, written as pip writes it."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(REPOSITORY / "setup.cfg")
    entries = dict(
        line.split(" = ") for line in settings["options.entry_points"]["console_scripts"].split("\n") if line
    )
    module, function = entries[SCRIPT].split(":")
    path = tmp_path / "bin" / SCRIPT
    path.parent.mkdir()
    path.write_text(AS_A_SCRIPT.format(python=sys.executable, module=module, function=function))
    path.chmod(0o755)

    def script(*words: str) -> Said:
        return Said(subprocess.run([str(path), *words], cwd=tmp_path, capture_output=True, text=True, check=False))

    return script


def test_the_script_does_what_python_m_pipeline_does_under_its_own_name(script, shell, lake, monkeypatch):
    monkeypatch.setenv("LUIGI_CONFIG_PATH", str(REPOSITORY / "luigi.cfg"))
    lake.offer(SENT)
    said = script("plan", *lake.options(), "--run-as-of", "2025-01-20")
    assert (said.code, said.out) == (0, shell("plan", "--run-as-of", "2025-01-20").out)
    assert script("--help").out.startswith("usage: orders-lake [-h]")
    assert script("plan", "--help").out.startswith("usage: orders-lake plan [-h]")
    assert script("plan", "all").errors == ["all: a word that belongs to no option; see orders-lake plan --help"]
    assert shell("plan", "--help", bare=True).out.startswith("usage: python -m pipeline plan [-h]")


def test_the_script_tells_of_a_luigi_cfg_that_cannot_be_parsed_in_one_line_too(script, tmp_path):
    (tmp_path / "luigi.cfg").write_text("[storage]\nroot\n")
    said = script("plan")
    assert (said.code, said.out, len(said.errors)) == (1, "", 1)
    assert "luigi.cfg, line 2: " in said.err


def test_the_version_is_that_of_the_package_under_both_names(script, shell):
    expected = f"orders-lake {version('orders-lake')}\n"
    assert (script("--version").out, shell("--version", bare=True).out) == (expected, expected)


def test_what_is_to_run_at_the_end_of_a_command_runs_and_its_exit_code_stays():
    code = "import atexit, sys; atexit.register(print, 'at the end'); sys.argv = ['p', 'ran']; "
    words = [sys.executable, "-c", code + "from pipeline.__main__ import script; script()"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "at the end\n")
    assert "ran: no such command" in done.stderr


def test_a_run_by_its_own_command_does_not_wait_for_pandas(lake):
    lake.offer(SENT)
    words = [sys.executable, "-X", "importtime", "-m", "pipeline", "run", *lake.options(), "--run-as-of", "2025-01-20"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "pyarrow.lib" in done.stderr
    assert "pandas.core" not in done.stderr


def test_a_command_whose_stdout_is_closed_ends_well_and_one_whose_output_cannot_be_written_does_not():
    words = [sys.executable, "-m", "pipeline", "--version"]
    assert subprocess.run(words, cwd=REPOSITORY, preexec_fn=lambda: os.close(1), check=False).returncode == 0
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        assert subprocess.run(words, cwd=REPOSITORY, env=buffered, stdout=full, check=False).returncode == 120
