"""Compares the tables of two lakes: python benchmarks/compare.py A B.

It compares each table whose layer both lakes have. The table must begin with the columns of the contract by name,
order and type; later columns, which only the pipeline has, are left out. Each row must be in the folder of its date.
Both lakes must have each row equally often; the order of rows and their division into files do not matter. Prints one
line per table. The exit code is 1 if anything differs.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class Table:
    """A partitioned table: its layer, its name and the columns of the contract."""

    layer: str
    name: str
    columns: tuple[tuple[str, str], ...]

    def files(self, lake: Path) -> list[str]:
        """The table's files in a lake: NAME.parquet of the pipeline, NAME_0.parquet of the plain scripts."""
        folder = lake / self.layer
        return sorted(
            str(path) for pattern in (f"{self.name}.parquet", f"{self.name}_[0-9]*.parquet")
            for path in folder.glob(f"date=*/{pattern}")
        )  # fmt: skip


def columns(text: str) -> tuple[tuple[str, str], ...]:
    """'name TYPE; name TYPE' as pairs."""
    return tuple((name, kind) for name, kind in (part.split() for part in text.split(";")))


ITEM_COLUMNS = columns("order_id VARCHAR; line_number INTEGER; sku VARCHAR; qty BIGINT; price DECIMAL(18,4); date DATE")
TABLES = (
    Table("normalized", "orders", columns(
        "order_id VARCHAR; user_id VARCHAR; amount DECIMAL(18,4); currency VARCHAR; created_at TIMESTAMP; "
        "updated_at TIMESTAMP; metadata VARCHAR; date DATE")),
    Table("normalized", "items", ITEM_COLUMNS),
    Table("curated", "fact_order", columns(
        "order_id VARCHAR; user_id VARCHAR; sku VARCHAR; amount DECIMAL(18,4); qty BIGINT; price DECIMAL(18,4); "
        "created_at TIMESTAMP; date DATE")),
    Table("curated", "order_items", ITEM_COLUMNS),
)  # fmt: skip


class Difference(Exception):
    """The difference in a table, as one line."""


def load(con: duckdb.DuckDBPyConnection, table: Table, lake: Path, view: str) -> int:
    """Load the lake's table into VIEW_rows; returns its number of rows.

    Raises Difference for a missing table, other columns than the contract's, and rows in the folder of another date.
    """
    files = table.files(lake)
    if not files:
        raise Difference(f"{lake} has no files of it")
    names = [name for name, _ in table.columns]
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT * FROM "
        f"read_parquet({files!r}, hive_partitioning = false, filename = true)"
    )
    found = [(row[0], row[1]) for row in con.execute(f"DESCRIBE {view}").fetchall()][:-1]
    if found[: len(table.columns)] != list(table.columns):
        raise Difference(f"{lake} has columns {found}, expected {list(table.columns)}")
    misplaced = con.execute(
        f"SELECT count(*) FROM {view} WHERE date IS DISTINCT FROM "
        "regexp_extract(filename, '.*/date=([0-9-]+)/', 1)::DATE"
    ).fetchone()[0]
    if misplaced:
        raise Difference(f"{lake} has {misplaced:,} rows in the folder of another date")
    con.execute(f"CREATE OR REPLACE TEMP TABLE {view}_rows AS SELECT {', '.join(names)} FROM {view}")
    return con.execute(f"SELECT count(*) FROM {view}_rows").fetchone()[0]


def compare_table(con: duckdb.DuckDBPyConnection, table: Table, a: Path, b: Path) -> str:
    """A line with the number of rows. Raises Difference unless all rows are equal."""
    rows_a, rows_b = load(con, table, a, "a"), load(con, table, b, "b")
    samples = {}
    for side, other in (("a", "b"), ("b", "a")):
        con.execute(f"CREATE OR REPLACE TEMP TABLE lone AS FROM {side}_rows EXCEPT ALL FROM {other}_rows")
        count = con.execute("SELECT count(*) FROM lone").fetchone()[0]
        if count:
            samples[side] = (count, con.execute("FROM lone ORDER BY ALL LIMIT 1").fetchone())
    if samples:
        found = "; ".join(f"{count:,} rows only in {side.upper()}, as {row}" for side, (count, row) in samples.items())
        raise Difference(f"A has {rows_a:,} rows, B {rows_b:,}; {found}")
    return f"{rows_a:,} rows, equal"


def differences(a: Path, b: Path) -> list[str]:
    """Print a line for each table that is compared; returns the lines of the tables that differ."""
    con = duckdb.connect()
    con.execute("SET threads = 2; SET TimeZone = 'UTC'")
    different, compared = [], 0
    for table in TABLES:
        if not ((a / table.layer).is_dir() and (b / table.layer).is_dir()):
            continue
        compared += 1
        try:
            line = compare_table(con, table, a, b)
        except Difference as difference:
            line = f"DIFFERENT: {difference}"
            different.append(f"{table.layer} {table.name} {line}")
        print(f"{table.layer:10} {table.name:11} {line}", flush=True)
    if not compared:
        different.append(f"{a} and {b} have no layer in common")
        print(different[-1])
    return different


if __name__ == "__main__":
    sys.exit(1 if differences(Path(sys.argv[1]), Path(sys.argv[2])) else 0)
