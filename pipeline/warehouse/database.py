"""warehouse.db: the tables users and products, and views over the lake. A change replaces the whole file.

DuckDB can write a file only if no other process has it open. An analyst's shell that reads must not block a run. So a
change is made to a copy, and the copy replaces the file. The open shell reads the old file until it reconnects. A shell
that can write must be closed first: the copy would lack its changes, and its log would not belong to the new file.
"""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template

import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout

from pipeline.contract import COLUMNS, DIM_PRODUCT, DIM_USER, FACT_ORDER, ORDER_ITEMS, ORDERS, Table
from pipeline.engine import literal, sql
from pipeline.errors import UnusableWarehouse
from pipeline.lake import sync_path

TABLES = {
    "users": "user_id VARCHAR PRIMARY KEY, email VARCHAR, created_at TIMESTAMP, country VARCHAR",
    "products": "sku VARCHAR PRIMARY KEY, name VARCHAR, category VARCHAR, price DECIMAL(18, 4)",
}
DIMENSION_TABLES = {DIM_USER: "users", DIM_PRODUCT: "products"}
VIEWS: tuple[Table, ...] = (FACT_ORDER, ORDER_ITEMS, ORDERS, DIM_USER, DIM_PRODUCT)
# the oldest version that DuckDB 2 can write; DuckDB 1.0 and later can read it
STORAGE_VERSION = "v1.0.0"
# a build takes far less
WAIT_SECONDS = 60


@contextmanager
def rebuilt(path: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a copy of the warehouse at path. The copy replaces the file, unless the `with` block raises.

    The block is one transaction. The copy has the tables users and products, even if the file lacks them or does not
    exist. One build of a file at a time, also of two lakes. Raises UnusableWarehouse if the file is no DuckDB database,
    if another program writes to it, or if its folder cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=WAIT_SECONDS):
            _refuse_log(path)
            # DuckDB would replay the log of a killed build into this build
            _remove_leftovers(path)
            try:
                with duckdb.connect() as connection:
                    yield from _build(connection, path)
            finally:
                with suppress(OSError):
                    _remove_leftovers(path)
    except Timeout as error:
        raise UnusableWarehouse(
            f"[warehouse] path = {path}: another run changes the file for more than {WAIT_SECONDS} s; run again later"
        ) from error
    except (OSError, duckdb.Error) as error:
        raise UnusableWarehouse(f"[warehouse] path = {path}: {_explained(str(error).splitlines()[0])}") from error


def _build(connection: duckdb.DuckDBPyConnection, path: str) -> Iterator[duckdb.DuckDBPyConnection]:
    connection.execute("SET TimeZone = 'UTC'")
    _begin_copy(connection, path)
    for table, name in DIMENSION_TABLES.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({TABLES[name]})")
        execute_all(connection, _comments("TABLE", name, table))
    yield connection
    connection.commit()
    # written here, because DuckDB does not report errors of writing when it closes the file
    connection.execute("CHECKPOINT warehouse")
    connection.execute("USE memory")
    connection.execute("DETACH warehouse")
    # the old file is still attached: until it is replaced, no other program can open it for writing
    os.replace(_building(path), path)
    sync_path(os.path.dirname(os.path.abspath(path)))


def _refuse_log(path: str) -> None:
    """Raises UnusableWarehouse if a program has written to the file and not brought its log in."""
    if os.path.lexists(f"{path}.wal"):
        raise UnusableWarehouse(
            f"{path}.wal: changes of another program, which are not in the warehouse yet; close that program; if it "
            f"was killed, open {path} with DuckDB once and close it; then run again"
        )


def _explained(error: str) -> str:
    if "Could not set lock" in error:
        return f"{error}; another program has the file open for writing; close it there, then run again"
    return (
        f"{error}; expected a DuckDB file in a writable folder; if the file is damaged, delete the file: the next "
        "RunAll makes it again from the CSVs and the lake"
    )


def _begin_copy(connection: duckdb.DuckDBPyConnection, path: str) -> None:
    """Begin a transaction in a new file with everything from the file at path, also tables that people have made."""
    if not os.path.exists(path):
        _begin(connection, path, STORAGE_VERSION)
        return
    connection.execute(f"ATTACH {_quoted(path)} AS old (READ_ONLY)")
    try:
        _begin(connection, path, STORAGE_VERSION)
        connection.execute("COPY FROM DATABASE old TO warehouse")
    except duckdb.InvalidInputException:
        # a table that people have made has a type that STORAGE_VERSION does not know, such as VARIANT
        connection.rollback()
        connection.execute("USE memory")
        connection.execute("DETACH warehouse")
        os.unlink(_building(path))
        _begin(connection, path, "latest")
        connection.execute("COPY FROM DATABASE old TO warehouse")


def _begin(connection: duckdb.DuckDBPyConnection, path: str, version: str) -> None:
    connection.execute(f"ATTACH {_quoted(_building(path))} AS warehouse (STORAGE_VERSION '{version}')")
    connection.execute("USE warehouse")
    connection.begin()


def leftovers(path: str) -> list[str]:
    """The files and folders of a build of the warehouse at path, sorted. If no build is running, one was killed.

    DuckDB adds files that are named after the file it builds, such as .wal, .wal.checkpoint and the folder .tmp.
    """
    building = _building(path)
    return sorted(name for name in (building, *glob.glob(f"{glob.escape(building)}.*")) if os.path.lexists(name))


def _building(path: str) -> str:
    return f"{path}.building"


def _remove_leftovers(path: str) -> None:
    for name in leftovers(path):
        if os.path.isdir(name) and not os.path.islink(name):
            shutil.rmtree(name)
        else:
            os.unlink(name)


def refused_views(path: str, root: str) -> dict[str, str]:
    """The views that cannot be queried, or that read another lake than `root`, with the reason, by name.

    Opens the file read-only. Raises UnusableWarehouse.
    """
    try:
        with duckdb.connect(path, read_only=True) as connection:
            for name in TABLES:
                # reading the rows is what finds a damaged block
                connection.execute(f"SELECT max(hash({name})) FROM {name}").fetchone()
            refusals = {table.name: _refusal(connection, table, root) for table in VIEWS}
    except duckdb.Error as error:
        raise UnusableWarehouse(f"{path}: {str(error).splitlines()[0]}; expected a DuckDB file") from error
    return {name: why for name, why in refusals.items() if why is not None}


def _refusal(connection: duckdb.DuckDBPyConnection, table: Table, root: str) -> str | None:
    try:
        # no rows are needed: binding the query opens the first file
        connection.execute(f"SELECT {', '.join(table.schema.names)} FROM {table.name} LIMIT 0")
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    row = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = ?", [table.name]).fetchone()
    reads = row[0] if row else ""
    return "the view reads another lake" if "read_parquet" in reads and literal(root) not in reads else None


def delete_user(connection: duckdb.DuckDBPyConnection, user_id: str) -> None:
    connection.execute("DELETE FROM users WHERE user_id = ?", [user_id])


def upsert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> pa.Table:
    """Insert or replace the dimension's rows by key; no row is deleted. Returns all rows of the table, by key."""
    name, columns = DIMENSION_TABLES[table], ", ".join(table.schema.names)
    connection.register("arriving", rows)
    connection.execute(f"INSERT OR REPLACE INTO {name} ({columns}) SELECT {columns} FROM arriving")
    connection.unregister("arriving")
    return connection.sql(f"SELECT {columns} FROM {name} ORDER BY {table.key[0]}").to_arrow_table()


def is_empty(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    return connection.execute(f"SELECT 1 FROM {DIMENSION_TABLES[table]} LIMIT 1").fetchone() is None


def view_definitions(root: str, present: set[str]) -> list[str]:
    """Statements that create the views over the lake at `root`, an absolute path: so they work from any folder.

    DuckDB binds no parameters in a view, so the path is a quoted literal. A view over files that do not exist cannot be
    created. So a table that is not `present` gets a view with the same columns and no rows.
    """
    quoted, statements = literal(root), []
    for table in VIEWS:
        rows = (
            Template(sql(f"views/{table.name}")).substitute(root=quoted) if table.name in present else _no_rows(table)
        )
        statements += [f"CREATE OR REPLACE VIEW {table.name} AS {rows}", *_comments("VIEW", table.name, table)]
    return statements


def execute_all(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _comments(kind: str, name: str, table: Table) -> list[str]:
    """Statements that add the grain and the meaning of each column as comments, for people who browse the database."""
    columns = [f"COMMENT ON COLUMN {name}.{column} IS {_quoted(COLUMNS[column])}" for column in table.schema.names]
    return [f"COMMENT ON {kind} {name} IS {_quoted(table.grain)}", *columns]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _no_rows(table: Table) -> str:
    types = {
        pa.string(): "VARCHAR",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.date32(): "DATE",
        pa.bool_(): "BOOLEAN",
        pa.timestamp("us"): "TIMESTAMP",
    }
    columns = [f"CAST(NULL AS {types.get(field.type, 'DECIMAL(18, 4)')}) AS {field.name}" for field in table.schema]
    return f"SELECT {', '.join(columns)} WHERE false"
