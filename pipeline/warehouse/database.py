"""warehouse.db: the tables users and products, and views over the lake. Built beside and replaced, never changed.

DuckDB lets one process write a file that nobody else has open. So that an analyst's open shell never blocks a run, a
change is made to a copy, which then takes the file's place; the shell goes on with the old one until it reconnects.
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

from pipeline.contract import COLUMNS, DIM_PRODUCT, DIM_USER, FACT_ORDER, ORDER_ITEMS, ORDERS, Table
from pipeline.engine import literal, sql
from pipeline.errors import UnusableWarehouse

TABLES = {
    "users": "user_id VARCHAR PRIMARY KEY, email VARCHAR, created_at TIMESTAMP, country VARCHAR",
    "products": "sku VARCHAR PRIMARY KEY, name VARCHAR, category VARCHAR, price DECIMAL(18, 4)",
}
DIMENSION_TABLES = {DIM_USER: "users", DIM_PRODUCT: "products"}
VIEWS: tuple[Table, ...] = (FACT_ORDER, ORDER_ITEMS, ORDERS, DIM_USER, DIM_PRODUCT)
# the oldest one that DuckDB 2 writes; every DuckDB from 1.0 on reads it
STORAGE_VERSION = "v1.0.0"


@contextmanager
def rebuilt(path: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a copy of the warehouse at path, with its tables; it takes the file's place unless you raise.

    All of it is one transaction. Raises UnusableWarehouse when the file is no DuckDB database, or its folder cannot be
    written.
    """
    building = _building(path)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # a log that a killed build has left would be replayed into this one
        _remove_leftovers(path)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            _begin_copy(connection, path)
            for table, name in DIMENSION_TABLES.items():
                connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({TABLES[name]})")
                execute_all(connection, _comments("TABLE", name, table))
            yield connection
            connection.commit()
            # what closing raises is not told
            connection.execute("CHECKPOINT warehouse")
        os.replace(building, path)
    except (OSError, duckdb.Error) as error:
        raise UnusableWarehouse(
            f"[warehouse] path = {path}: {str(error).splitlines()[0]}; expected a DuckDB file in a folder that can be "
            "written; delete the file if it is damaged: it is made anew from the CSVs and the lake"
        ) from error
    finally:
        with suppress(OSError):
            _remove_leftovers(path)


def _begin_copy(connection: duckdb.DuckDBPyConnection, path: str) -> None:
    """Begin a transaction in a new file that has all of the file at path, whatever people have made in it."""
    if not os.path.exists(path):
        _begin(connection, path, STORAGE_VERSION)
        return
    # DuckDB does not open a file that a shell may write
    old = f"{_building(path)}.old"
    shutil.copyfile(path, old)
    connection.execute(f"ATTACH {_quoted(old)} AS old (READ_ONLY)")
    try:
        _begin(connection, path, STORAGE_VERSION)
        connection.execute("COPY FROM DATABASE old TO warehouse")
    except duckdb.InvalidInputException:
        # a table of other people's has a type that the oldest storage does not know, such as VARIANT
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
    """The files and folders of a build of the warehouse at path, sorted; unless one is at work, it was cut off.

    DuckDB names what it adds after the file that it builds: .wal, .wal.checkpoint and the folder .tmp, among others.
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
    """Which views do not answer over the lake at root, and why, asked read-only. Raises UnusableWarehouse."""
    try:
        with duckdb.connect(path, read_only=True) as connection:
            refusals = {table.name: _refusal(connection, table, root) for table in VIEWS}
    except duckdb.Error as error:
        raise UnusableWarehouse(f"{path}: {str(error).splitlines()[0]}; expected a DuckDB file") from error
    return {name: why for name, why in refusals.items() if why is not None}


def _refusal(connection: duckdb.DuckDBPyConnection, table: Table, root: str) -> str | None:
    try:
        # binding is enough: it opens the first of the files
        connection.execute(f"SELECT {', '.join(table.schema.names)} FROM {table.name} LIMIT 0")
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    row = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = ?", [table.name]).fetchone()
    reads = row[0] if row else ""
    return "it reads another lake" if "read_parquet" in reads and literal(root) not in reads else None


def delete_user(connection: duckdb.DuckDBPyConnection, user_id: str) -> None:
    connection.execute("DELETE FROM users WHERE user_id = ?", [user_id])


def upsert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> pa.Table:
    """Insert or replace the dimension's rows by key, delete nothing; all rows of the table, ordered by key."""
    name, columns = DIMENSION_TABLES[table], ", ".join(table.schema.names)
    connection.register("arriving", rows)
    connection.execute(f"INSERT OR REPLACE INTO {name} ({columns}) SELECT {columns} FROM arriving")
    connection.unregister("arriving")
    return connection.sql(f"SELECT {columns} FROM {name} ORDER BY {table.key[0]}").to_arrow_table()


def is_empty(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    return connection.execute(f"SELECT 1 FROM {DIMENSION_TABLES[table]} LIMIT 1").fetchone() is None


def view_definitions(root: str, present: set[str]) -> list[str]:
    """Statements that create the views over the lake at root, an absolute path, so that they work from any folder.

    DuckDB binds no parameter in a view, so the path is put in as a quoted literal. A view over files that are not
    there cannot be created: tables not present get a view of the same columns without rows.
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
    """Statements that say what the rows and the columns of a table or a view are, for whoever browses the database."""
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
