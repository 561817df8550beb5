"""A user's own data: no users.csv or products.csv, an empty range, or a lake that holds data of another source."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from api import scripted
from depth import deep, some
from feeds import order

from pipeline import RunAll, init_database
from pipeline.commands.plan import plan

AS_OF = dt.datetime(2025, 1, 20, 12)
LATER = AS_OF + dt.timedelta(hours=1)
SENT = [order("o_1"), order("o_2", created_at="2025-01-18")]
COMMANDS = {
    "python -m pipeline": [sys.executable, "-m", "pipeline", "run"],
    "luigi": [str(Path(sys.executable).parent / "luigi"), "--module", "pipeline", "RunAll", "--local-scheduler"],
}


@pytest.fixture
def own(lake, tmp_path, monkeypatch):
    """A lake in a folder without data/users.csv and data/products.csv, which no setting names."""
    monkeypatch.chdir(tmp_path)
    del lake.settings["warehouse"]["users_csv"], lake.settings["warehouse"]["products_csv"]
    return lake


def users(lake) -> list[str]:
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        found = connection.execute("SELECT user_id FROM dim_user ORDER BY 1").fetchall()
    return [user_id for (user_id,) in found]


# Without users.csv and products.csv


def seeded(caplog) -> list[str]:
    found = [record.message for record in caplog.records if record.message.startswith("event=seeded")]
    caplog.clear()
    return found


def test_without_the_csvs_a_run_succeeds_says_so_once_and_has_empty_dimensions(own, caplog):
    assert own.run(SENT, AS_OF), own.errors
    (told,) = seeded(caplog)
    assert 'without="data/users.csv, data/products.csv"' in told
    assert users(own) == []
    assert len(own.curated("fact_order")) == 2
    assert own.run(None, LATER), own.errors
    assert seeded(caplog) == []


@deep("lakes of another source")
def test_a_csv_that_comes_later_is_taken_over_and_its_rows_stay_when_it_goes(own, tmp_path, caplog):
    assert own.run(SENT, AS_OF)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/users.csv").write_text("user_id,email,created_at,country\nu_1,,,\n")
    assert own.run(None, LATER), own.errors
    assert users(own) == ["u_1"]
    assert "without" not in seeded(caplog)[-1]
    (tmp_path / "data/users.csv").unlink()
    assert own.run(None, LATER + dt.timedelta(hours=1)), own.errors
    assert users(own) == ["u_1"]


def test_a_csv_that_is_named_and_missing_is_an_error_also_after_a_run_without_any(own, tmp_path):
    assert own.run(SENT, AS_OF)
    own.settings["warehouse"]["users_csv"] = tmp_path / "nowhere.csv"
    assert not own.run(None, LATER)
    assert f"[warehouse] users_csv = {tmp_path}/nowhere.csv: No such file or directory" in own.errors[0]


def test_a_link_to_nothing_in_the_place_of_a_csv_is_an_error(own, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/users.csv").symlink_to(tmp_path / "nowhere.csv")
    assert not own.run(SENT, AS_OF)
    assert "[warehouse] users_csv = data/users.csv: No such file or directory" in own.errors[0]


def test_init_database_without_the_csvs_makes_empty_tables(own):
    with own.configured():
        init_database(str(own.warehouse))
    with duckdb.connect(str(own.warehouse), read_only=True) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM users), count(*) FROM products").fetchall() == [(0, 0)]


def test_erase_asks_nothing_of_a_csv_that_is_not_there(own, capsys):
    assert own.run(SENT, AS_OF)
    own.erase("u_1", LATER, really=False)
    assert "users.csv" not in capsys.readouterr().out


@pytest.mark.parametrize("command", some(COMMANDS, list(COMMANDS)[:1], "lakes of another source"))
def test_a_folder_with_nothing_but_a_dump_is_enough(own, tmp_path, command):
    own.offer(SENT)
    done = subprocess.run(
        COMMANDS[command],
        cwd=tmp_path,
        env=os.environ | {"ORDERS_LAKE_ORDERS_API_URL": "dump.json", "ORDERS_LAKE_REPORT_AFTER_EACH_RUN": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "built=2 failed=0" in done.stderr
    assert (tmp_path / "duckdb_db/warehouse.db").exists()


# Nothing in the range

NOTES = ("nothing in this range: ", "the lake ")
BEFORE, AFTER = dt.datetime(2025, 1, 10), dt.datetime(2025, 1, 19)


def told(capsys) -> list[str]:
    """The problems of a run that are of its source, each with what follows it up to the line of the files."""
    out = " ".join(capsys.readouterr().out.split())
    return [f"{kind}{text.split(' files ')[0]}" for kind in NOTES for text in out.split(kind)[1:]]


@pytest.mark.parametrize(
    ("since", "until"), [(AFTER, None), (None, BEFORE), (BEFORE - dt.timedelta(days=3), BEFORE)], ids=str
)
def test_a_range_without_orders_says_which_dates_the_source_has(lake, capsys, since, until):
    assert lake.run(SENT, AS_OF, since, until)
    assert told(capsys) == ["nothing in this range: the source has 2025-01-15..2025-01-18"]


@deep("lakes of another source")
def test_a_range_with_orders_says_nothing_of_that_nor_do_a_second_run_and_one_that_finds_no_change(lake, capsys):
    assert lake.run(SENT, AS_OF, dt.datetime(2025, 1, 18))
    assert lake.run(None, LATER)
    assert lake.run(None, LATER + dt.timedelta(hours=1))
    assert lake.run(None, LATER + dt.timedelta(hours=2), changed_since=LATER)
    assert lake.run(None, LATER + dt.timedelta(hours=3), AFTER, reprocess=True)
    assert told(capsys) == []


def test_plan_says_it_too(lake):
    lake.offer([order("o_1")])
    with lake.configured():
        assert plan(RunAll(stamp=AS_OF, since=AFTER), everything=False) == [
            "0 date(s) to build, 0 to skip",
            "nothing in this range: the source has 2025-01-15",
        ]


def test_an_empty_dump_and_one_without_dates_say_so(lake, capsys):
    assert lake.run([], AS_OF)
    assert told(capsys) == ["nothing in this range: the source has no record with a usable date"]
    assert lake.run([b'{"id": 1}', b'{"id": 2}'], LATER)
    nothing, _ = told(capsys)[0].split(" order_id: ")
    assert nothing == (
        "nothing in this range: the source has no record with a usable date and 2 record(s) without one: see "
        "`python -m pipeline quarantine`"
    )


def test_an_api_that_has_nothing_for_the_range_is_named_as_such(lake, capsys):
    with scripted(lambda *_: (200, {}, b'{"orders": [], "total": 0}')) as api:
        lake.settings["orders_api"]["url"] = api.url
        assert lake.run(None, AS_OF, dt.datetime(2025, 1, 18)), lake.errors
    (said,) = told(capsys)
    assert said.startswith("nothing in this range: the source has no orders in it")


# A lake that holds another source's dates


def test_a_run_and_plan_of_another_dump_say_whose_dates_the_lake_holds_and_what_to_do(lake, capsys):
    assert lake.run(SENT, AS_OF)
    assert told(capsys) == []
    first, lake.dump = lake.dump, lake.dump.with_name("mine.json")
    lake.settings["orders_api"]["url"] = lake.dump
    assert lake.run([order("o_9", created_at="2025-01-19")], LATER)
    expected = (
        f"the lake {lake.root} holds 2 date(s) from {first}, but this run reads {lake.dump}; if these are "
        "different shops, give each shop its own lake with --storage-root and --warehouse-path"
    )
    (said,) = told(capsys)
    assert said.startswith(expected)
    assert lake.plan(LATER)[-1] == expected


@deep("lakes of another source")
def test_dates_that_were_taken_over_or_dropped_are_not_another_sources(lake, capsys):
    assert lake.run(SENT, AS_OF)
    lake.drop("2025-01-15", LATER)
    lake.dump = lake.settings["orders_api"]["url"] = lake.dump.with_name("mine.json")
    assert lake.run([SENT[1]], LATER + dt.timedelta(hours=1), dt.datetime(2025, 1, 18), force=True)
    assert lake.run(None, LATER + dt.timedelta(hours=2))
    assert told(capsys) == []


@deep("lakes of another source")
def test_dumps_of_single_days_are_not_told_of_as_each_of_them_is_another_file(lake, capsys):
    lake.settings["orders_api"]["settle_hours"] = 0
    assert lake.run([SENT[0]], AS_OF)
    lake.dump = lake.settings["orders_api"]["url"] = lake.dump.with_name("next.json")
    assert lake.run([SENT[1]], LATER)
    assert told(capsys) == []


def test_the_same_dump_by_another_path_is_the_same_source(lake, capsys, tmp_path, monkeypatch):
    assert lake.run(SENT, AS_OF)
    monkeypatch.chdir(tmp_path)
    lake.settings["orders_api"]["url"] = "dump.json"
    assert lake.run(None, LATER)
    assert told(capsys) == []
