"""DuckDB 1.5, which current BI tools use, opens warehouse.db; the test installs it from the package index."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from depth import deep
from feeds import order

from pipeline import contract
from pipeline.warehouse.database import VIEWS

pytestmark = deep("tests of an older DuckDB")

OLDER = "duckdb==1.5.6"
AS_OF = dt.datetime(2025, 1, 20, 12)
LATER = AS_OF + dt.timedelta(hours=1)
SENT = [order("o_1", amount=30), order("o_2", amount=5, created_at="2025-01-16T08:00:00Z", items=[])]

ASKED = """
import json, sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    rows = [connection.execute(query).fetchall() for query in ("SELECT version()", *sys.argv[2:])]
print(json.dumps(rows, default=str))
"""
COMMENTS_ON_VIEWS = "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
COMMENTS_ON_TABLES = "SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
COMMENTS_ON_COLUMNS = (
    "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index"
)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with an older DuckDB. Without a package index the tests are skipped, but not in CI."""
    folder = tmp_path_factory.mktemp("older")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    install = [*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder), OLDER]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"{OLDER} cannot be installed: {done.stderr.strip().splitlines()[-1]}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return folder


@pytest.fixture
def ask(lake, older: Path) -> Callable[..., list[list[list[Any]]]]:
    """The rows that the older DuckDB finds in the warehouse, for each query."""

    def ask(*queries: str) -> list[list[list[Any]]]:
        done = subprocess.run(
            [sys.executable, "-c", ASKED, str(lake.warehouse), *queries],
            env=os.environ | {"PYTHONPATH": str(older)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said, *rows = json.loads(done.stdout)
        assert said == [[f"v{OLDER.partition('==')[2]}"]]
        return rows

    return ask


def test_duckdb_1_5_reads_the_tables_and_the_views(lake, ask):
    assert lake.run(SENT, AS_OF)
    queries = [f"SELECT * FROM {name} ORDER BY ALL" for name in ("users", "products", *(view.name for view in VIEWS))]
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        rows = [connection.execute(query).fetchall() for query in queries]
    assert ask(*queries) == json.loads(json.dumps(rows, default=str))
    assert [len(found) for found in rows] == [1, 1, 3, 2, 2, 1, 1]


def test_tables_views_and_columns_say_what_they_are(lake, ask):
    assert lake.run(SENT, AS_OF)
    views, tables, columns = ask(COMMENTS_ON_VIEWS, COMMENTS_ON_TABLES, COMMENTS_ON_COLUMNS)
    assert views == sorted([table.name, table.grain] for table in VIEWS)
    assert tables == [["products", "one row per product"], ["users", "one row per user"]]
    named = [*VIEWS, *((contract.DIM_USER, "users"), (contract.DIM_PRODUCT, "products"))]
    said = [item if isinstance(item, tuple) else (item, item.name) for item in named]
    assert columns == [
        [name, column, contract.COLUMNS[column]]
        for table, name in sorted(said, key=lambda pair: pair[1])
        for column in table.schema.names
    ]
    assert ["fact_order", "sku", "id of the product, as the shop has it"] in columns


def test_a_warehouse_in_a_newer_format_is_written_anew_with_all_that_people_made_in_it(lake, ask):
    with duckdb.connect(str(lake.warehouse)) as connection:
        connection.execute("CREATE TABLE notes (day DATE PRIMARY KEY, note VARCHAR)")
        connection.execute("INSERT INTO notes VALUES ('2025-01-15', 'launch')")
        connection.execute("COMMENT ON TABLE notes IS 'mine'")
        connection.execute("CREATE INDEX by_note ON notes (note)")
        connection.execute("CREATE MACRO twice(n) AS 2 * n")
        connection.execute("CREATE VIEW big AS SELECT note FROM notes WHERE day > '2025-01-01'")
    assert lake.run(SENT, AS_OF)
    assert ask(
        "SELECT note, twice(21) FROM big",
        "SELECT comment FROM duckdb_tables() WHERE table_name = 'notes'",
        "SELECT index_name FROM duckdb_indexes() WHERE table_name = 'notes'",
    ) == [[["launch", 42]], [["mine"]], [["by_note"]]]


def test_a_type_that_the_older_format_lacks_stays_and_stops_no_run(lake):
    with duckdb.connect(str(lake.warehouse)) as connection:
        connection.execute("CREATE TABLE notes AS SELECT {'n': 1}::VARIANT AS note")
    assert lake.run(SENT, AS_OF), lake.errors
    lake.users_csv.write_text("user_id,email,created_at,country\nu_1,,,\nu_2,,,\n")
    assert lake.run(SENT, LATER), lake.errors
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        assert connection.execute("SELECT note.n::INT FROM notes").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(2,)]
    assert lake.litter() == []
