"""Settings from environment variables rank below an option and above a file, and errors name the variable."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import pipeline
from depth import deep
from feeds import order
from lake import LakeUnderTest
from warm import ran

from pipeline import config
from pipeline.events import one_line
from pipeline.settings.environment import variable

UNHANDLED = 40  # [retcode] of luigi.cfg
COMMANDS = {
    "python -m pipeline": ["pipeline", "run"],
    "luigi": ["luigi", "--module", "pipeline", "RunAll", "--local-scheduler"],
}
FILE = "[retcode]\nunhandled_exception = 40\n[storage]\nroot = of_file\n"


@pytest.fixture
def folder(lake: LakeUnderTest, tmp_path: Path) -> Path:
    """A folder with a luigi.cfg that names a lake of its own; the dump is elsewhere."""
    lake.offer([order("o_1")])
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "luigi.cfg").write_text(FILE)
    return folder


@pytest.fixture(params=COMMANDS)
def run(request: pytest.FixtureRequest, folder: Path, lake: LakeUnderTest) -> Callable[..., tuple[int, str]]:
    """RunAll in the folder, most settings from the environment, by either command: its exit code, and what it said."""

    def run(*words: str, **variables: str) -> tuple[int, str]:
        of_lake = {
            variable(section, key): str(value) for section, keys in lake.settings.items() for key, value in keys.items()
        }
        del of_lake["ORDERS_LAKE_STORAGE_ROOT"], of_lake["ORDERS_LAKE_STORAGE_LOCK_TIMEOUT_SECONDS"]
        done = ran(*COMMANDS[request.param], *words, cwd=folder, env=os.environ | of_lake | variables)
        return done.returncode, done.stderr

    return run


def lakes(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


@deep("settings from variables")
def test_a_variable_counts_above_the_file_and_below_an_option(run, folder):
    assert run()[0] == 0
    assert lakes(folder) == ["of_file"]
    code, said = run(ORDERS_LAKE_STORAGE_ROOT="of_variable")
    assert code == 0
    assert lakes(folder) == ["of_file", "of_variable"]
    (start,) = [line for line in said.splitlines() if "event=run_start" in line]
    assert "ORDERS_LAKE_ORDERS_API_URL,ORDERS_LAKE_RE" in start
    assert run("--storage-root", "of_option", ORDERS_LAKE_STORAGE_ROOT="of_variable_2")[0] == 0
    assert lakes(folder) == ["of_file", "of_option", "of_variable"]


def test_a_variable_that_is_wrong_is_one_line_that_names_it_and_nothing_is_written(run, folder):
    code, said = run(ORDERS_LAKE_STORAGE_ROTT="hunter2")
    assert code == UNHANDLED
    (line,) = said.strip().splitlines()
    assert "BadSetting: ORDERS_LAKE_STORAGE_ROTT: no setting has this name" in line
    assert "hunter2" not in line
    assert lakes(folder) == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ORDERS_LAKE_STORAGE_FSYNC", "perhaps", "perhaps: expected true or false"),
        ("ORDERS_LAKE_STORAGE_ROOT", "", "(empty): expected a folder on this machine"),
        ("ORDERS_LAKE_RUN_AS_OF", "noon", "noon: expected ISO 8601"),
        ("ORDERS_LAKE_ORDERS_FIELDS_ITEMS_QTY", "n", "n: expected a path such"),
        ("ORDERS_LAKE_ORDERS_API_PAGE_SIZE", "", "(empty): expected orders from 1"),
    ],
)
def test_a_wrong_value_is_named_after_its_variable(monkeypatch, name, value, told):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="default value") as error:
        config.validate()
    assert f"BadSetting: {name} = {told}" in one_line(error.value)


def test_a_wrong_value_of_the_file_is_still_named_after_the_file(run, folder):
    (folder / "luigi.cfg").write_text(FILE + "lock_timeout_seconds = x\n")
    assert " luigi.cfg: [storage] lock_timeout_seconds = x: expected seconds" in run()[1]


def test_every_setting_has_a_variable_of_its_own():
    names = [variable(section.__name__, key) for section in config.SECTIONS for key in config.keys(section)]
    assert len(names) == len(set(names))
    assert {"ORDERS_LAKE_STORAGE_ROOT", "ORDERS_LAKE_ORDERS_API_URL", "ORDERS_LAKE_ORDERS_FIELDS_ITEMS_SKU"} <= {*names}


def test_what_stands_for_something_in_a_file_is_only_text_in_a_variable(monkeypatch):
    monkeypatch.setenv("ORDERS_LAKE_ORDERS_API_TIME_FORMAT", "%Y-%m-%d ${HOME}")
    assert config.orders_api().time_format == "%Y-%m-%d ${HOME}"


def test_an_unknown_name_says_which_one_is_meant(monkeypatch):
    monkeypatch.setenv("ORDERS_LAKE_orders_api_url", "hunter2")
    monkeypatch.setenv("ORDERS_LAKE_COLOUR_OF_THE_SKY", "hunter2")
    assert config.unknown_variables() == [
        "ORDERS_LAKE_COLOUR_OF_THE_SKY: no setting has this name; expected ORDERS_LAKE_<SECTION>_<KEY>; unset it; "
        "docs/SETTINGS.md lists the settings",
        "ORDERS_LAKE_orders_api_url: no setting has this name; expected ORDERS_LAKE_<SECTION>_<KEY>; "
        "write ORDERS_LAKE_ORDERS_API_URL",
    ]


def test_doctor_names_the_variables_that_count_and_those_that_are_wrong(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("ORDERS_LAKE_STORAGE_ROOT", str(tmp_path / "lake"))
    assert "luigi.cfg, ORDERS_LAKE_STORAGE_ROOT" in pipeline(capsys, "doctor", "--quick").out
    monkeypatch.setenv("ORDERS_LAKE_STORAGE_ROTT", "hunter2")
    monkeypatch.setenv("ORDERS_LAKE_ENGINE_THREADS", "many")
    said = pipeline(capsys, "doctor", "--quick")
    assert said.code == 1
    assert "ORDERS_LAKE_STORAGE_ROTT: no setting has this name" in said.out
    assert "ORDERS_LAKE_ENGINE_THREADS = many: expected a whole number from 0 to 1024; 0: all cores" in said.out
    assert "hunter2" not in said.out
