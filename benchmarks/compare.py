"""Compare the tables of two lakes row by row, whatever their files and their order: python benchmarks/compare.py A B.

Each table of the layers that both lakes have is read with the columns of DESIGN §3 by name, order and type, and
EXCEPT ALL both ways counts the rows that one lake has more often than the other: order and files do not matter,
duplicates do. Rows must lie in the folder of their date. One line a table; exit code 1 when anything differs.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class Table:
    """A partitioned table: where it lies and its columns as the contract has them."""

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
    """What differs in a table, as one line."""


def load(con: duckdb.DuckDBPyConnection, table: Table, lake: Path, view: str) -> int:
    """Make the lake's table a view, insist on the contract's columns, and return its number of rows."""
    files = table.files(lake)
    if not files:
        raise Difference(f"{lake} has no files of it")
    names = [name for name, _ in table.columns]
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT * FROM "
        f"read_parquet({files!r}, hive_partitioning = false, filename = true)"
    )
    found = [(row[0], row[1]) for row in con.execute(f"DESCRIBE {view}").fetchall()][:-1]
    if found != list(table.columns):
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
    """A line that says how many rows are equal; Difference when not all are."""
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
    """Print a line for each table of the layers that both lakes have; return the lines of those that differ."""
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
