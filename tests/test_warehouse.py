"""warehouse.db: its views answer from any folder while runs work, and every reader understands its files."""

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from depth import deep, some
from feeds import order

from pipeline.contract import FACT_ORDER, ITEMS, ORDER_ITEMS, ORDERS, Table

AS_OF = dt.datetime(2025, 1, 20, 12)
LATER = AS_OF + dt.timedelta(hours=1)
SENT = [
    order("o_1", amount=30, metadata={"gift": True}),
    order("o_2", amount="0.10", created_at="2025-01-16T08:00:00.123456Z", items=[]),
    order("o_3", amount=None, created_at="2025-01-15", items=[{"sku": "s_1", "qty": 1}]),
]
MOVED = [*SENT, order("o_1", amount=40, created_at="2025-01-16T00:10:00Z")]

COLUMNS = {
    "fact_order": "order_id VARCHAR, user_id VARCHAR, sku VARCHAR, amount DECIMAL(18,4), qty BIGINT, "
    "price DECIMAL(18,4), created_at TIMESTAMP, date DATE",
    "order_items": "order_id VARCHAR, line_number INTEGER, sku VARCHAR, qty BIGINT, price DECIMAL(18,4), date DATE",
    "orders": "order_id VARCHAR, user_id VARCHAR, amount DECIMAL(18,4), currency VARCHAR, created_at TIMESTAMP, "
    "updated_at TIMESTAMP, metadata VARCHAR, date DATE, status VARCHAR, "
    "excluded BOOLEAN",
    "dim_user": "user_id VARCHAR, email VARCHAR, created_at TIMESTAMP, country VARCHAR",
    "dim_product": "sku VARCHAR, name VARCHAR, category VARCHAR, price DECIMAL(18,4)",
}


def ask(lake, query: str) -> list[tuple]:
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


def described(lake, view: str) -> str:
    return ", ".join(f"{name} {kind}" for name, kind, *_ in ask(lake, f"DESCRIBE {view}"))


@pytest.mark.parametrize("lines", [SENT, [], [b"hello"]], ids=["orders", "no orders", "no partitions"])
def test_the_views_have_the_columns_and_types_of_the_contract(lake, lines):
    assert lake.run(lines, AS_OF)
    assert {view: described(lake, view) for view in COLUMNS} == COLUMNS


def test_the_views_of_a_lake_without_partitions_are_empty_and_fill_with_the_first_orders(lake):
    assert lake.run([], AS_OF)
    assert ask(lake, "SELECT * FROM fact_order, order_items, orders") == []
    assert lake.run(SENT, LATER)
    assert ask(lake, "SELECT count(*) FROM fact_order") == [(4,)]


def test_the_views_show_each_order_once_in_the_partition_of_its_latest_version(lake):
    assert lake.run(MOVED, AS_OF)
    assert ask(lake, "SELECT order_id, amount, currency, metadata, date FROM orders ORDER BY 1") == [
        ("o_1", Decimal(40), "EUR", None, dt.date(2025, 1, 16)),
        ("o_2", Decimal("0.1000"), "EUR", None, dt.date(2025, 1, 16)),
        ("o_3", None, "EUR", None, dt.date(2025, 1, 15)),
    ]
    assert ask(lake, "SELECT sum(amount) FROM fact_order") == [(Decimal("40.1000"),)]
    assert ask(lake, "SELECT order_id, count(*) FROM order_items GROUP BY 1 ORDER BY 1") == [("o_1", 2), ("o_3", 1)]
    assert ask(lake, "SELECT user_id FROM dim_user") == [("u_1",)]
    assert ask(lake, "SELECT sku, price FROM dim_product") == [("s_1", Decimal("10.0000"))]


def test_the_views_work_from_any_folder(lake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lake.settings["storage"]["root"] = "lake"
    lake.settings["warehouse"]["path"] = "warehouse.db"
    assert lake.run(SENT, AS_OF)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ask(lake, "SELECT count(*) FROM fact_order") == [(4,)]


NAMES = ["it's", 'a "lake"', "$x {root} $$", "50% üñí", "a;b -- c", "lake [2025]", "a*b?"]


@pytest.mark.parametrize("name", some(NAMES, ["it's", "a*b?"], "names of a folder"))
def test_the_views_work_for_any_name_of_the_folder(lake, tmp_path, name):
    lake.root = lake.settings["storage"]["root"] = tmp_path / name
    assert lake.run(SENT, AS_OF)
    assert ask(lake, "SELECT count(*) FROM fact_order") == [(4,)]


@deep("names of a folder")
def test_a_folder_whose_name_looks_like_a_pattern_never_reads_its_neighbours(lake, tmp_path):
    lake.root = lake.settings["storage"]["root"] = tmp_path / "lake_1"
    assert lake.run(SENT, AS_OF)
    lake.root = lake.settings["storage"]["root"] = tmp_path / "lake_*"
    assert lake.run([order("o_9", amount=1, created_at="2025-01-15")], AS_OF)
    assert ask(lake, "SELECT order_id, amount FROM orders") == [("o_9", Decimal(1))]
    assert [len(rows) for rows in lake.curated("fact_order").values()] == [2]


SHELL = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads")
if sys.argv[2] == "writes":
    connection.execute("CREATE TABLE notes AS SELECT 'mine' AS note")
print(connection.execute("SELECT count(*) FROM fact_order").fetchone()[0], flush=True)
sys.stdin.readline()
print(connection.execute("SELECT count(*) FROM users").fetchone()[0], flush=True)
"""


def opened(lake, shell: str) -> subprocess.Popen:
    """An analyst's shell that has the warehouse open; it ends once it is sent a line."""
    command = [sys.executable, "-c", SHELL, lake.warehouse, shell]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    return process


def test_an_analysts_open_shell_that_reads_never_blocks_a_run(lake):
    assert lake.run([], AS_OF)
    with opened(lake, "reads") as process:
        lake.users_csv.write_text("user_id,email,created_at,country\nu_1,a,,\nu_2,b,,\n")
        assert lake.run(SENT, LATER)
        answer, _ = process.communicate("\n")
    assert answer == "1\n"  # the shell goes on with what it opened
    assert process.returncode == 0
    assert ask(lake, "SELECT count(*) FROM fact_order") == [(4,)]
    assert ask(lake, "SELECT count(*) FROM users") == [(2,)]
    assert lake.litter() == []


@pytest.mark.parametrize("end", some(["closed", "killed"], ["killed"], "runs at once"))
@pytest.mark.parametrize(("shell", "told"), [("may write", "open for writing"), ("writes", "warehouse.db.wal")])
def test_a_shell_that_can_write_fails_the_warehouse_alone_and_loses_nothing(lake, shell, told, end):
    assert lake.run([], AS_OF)
    with opened(lake, shell) as process:
        lake.users_csv.write_text("user_id,email,created_at,country\nu_1,a,,\nu_2,b,,\n")
        assert not lake.run(SENT, LATER)
        assert told in str(lake.errors)
        assert len(lake.curated("fact_order")) == 2
        if end == "killed":
            process.kill()
        else:
            process.communicate("\n")
    if lake.warehouse.with_name("warehouse.db.wal").exists():
        assert not lake.run(None, LATER + dt.timedelta(minutes=1))
        duckdb.connect(str(lake.warehouse)).close()
    assert lake.run(None, LATER + dt.timedelta(hours=1)), lake.errors
    assert ask(lake, "SELECT count(*) FROM users") == [(2,)]
    assert ask(lake, "SELECT count(*) FROM fact_order") == [(4,)]
    if shell == "writes":
        assert ask(lake, "SELECT note FROM notes") == [("mine",)]


def test_a_run_with_nothing_to_do_leaves_the_warehouse_as_it_is(lake):
    assert lake.run(SENT, AS_OF)
    before = lake.warehouse.stat()
    assert lake.run(None, LATER)
    after = lake.warehouse.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_warehouse_that_was_deleted_is_made_anew_by_the_next_run(lake):
    assert lake.run(SENT, AS_OF)
    lake.warehouse.unlink()
    assert lake.run(None, LATER)
    assert ask(lake, "SELECT count(*) FROM fact_order") == [(4,)]
    assert ask(lake, "SELECT count(*) FROM dim_user") == [(1,)]


def test_tables_of_other_people_in_the_warehouse_stay(lake):
    with duckdb.connect(str(lake.warehouse)) as connection:
        connection.execute("CREATE TABLE notes AS SELECT 'mine' AS note")
    assert lake.run(SENT, AS_OF)
    assert ask(lake, "SELECT note FROM notes") == [("mine",)]


# The files themselves

PHYSICAL = {
    pa.bool_(): ("BOOLEAN", "None"),
    pa.string(): ("BYTE_ARRAY", "String"),
    pa.decimal128(18, 4): ("INT64", "Decimal(precision=18, scale=4)"),
    pa.timestamp("us"): ("INT64", "Timestamp(isAdjustedToUTC=false, timeUnit=microseconds"),
    pa.date32(): ("INT32", "Date"),
    pa.int32(): ("INT32", ""),
    pa.int64(): ("INT64", ""),
}


@pytest.mark.parametrize("lines", [SENT, [order("o_1", created_at="2025-01-16"), b"x"]], ids=["rows", "few rows"])
def test_parquet_files_hold_the_columns_in_order_with_the_types_that_redshift_loads(lake, lines):
    assert lake.run(lines, AS_OF)
    for table in (ORDERS, ITEMS, FACT_ORDER, ORDER_ITEMS):
        check_types(lake, table)


def check_types(lake, table: Table) -> None:
    for path in lake.root.glob(f"{table.layer}/date=*/{table.file}"):
        columns = pq.ParquetFile(path).schema
        assert [columns.column(n).name for n in range(len(columns.names))] == table.schema.names
        for n, field in enumerate(table.schema):
            physical, logical = PHYSICAL[field.type]
            assert columns.column(n).physical_type == physical
            assert str(columns.column(n).logical_type).startswith(logical), field


def test_an_emptied_date_has_files_without_rows_and_with_the_columns(lake):
    lake.settings["orders_api"]["max_vanished_share"] = 1
    assert lake.run(SENT, AS_OF)
    assert lake.run([SENT[1]], LATER, force=True)
    for table in (ORDERS, ITEMS, FACT_ORDER, ORDER_ITEMS):
        file = pq.ParquetFile(lake.root / f"{table.layer}/date=2025-01-15/{table.file}")
        assert file.metadata.num_rows == 0
        assert file.schema_arrow.remove_metadata() == table.schema
    assert ask(lake, "SELECT count(*) FROM fact_order") == [(1,)]


def test_rows_are_ordered_by_order_id_and_line_number(lake):
    lines = [order(f"o_{n * 7 % 10}", items=[{"sku": s, "qty": 1} for s in "zya"]) for n in range(10)]
    assert lake.run(lines, AS_OF)
    day = dt.date(2025, 1, 15)
    assert [row[:2] for row in lake.curated("order_items")[day]] == [
        (f"o_{n}", k) for n in range(10) for k in (1, 2, 3)
    ]
    assert [(row[0], row[2]) for row in lake.curated("fact_order")[day]] == [
        (f"o_{n}", s) for n in range(10) for s in "zya"
    ]


def test_duckdb_pandas_and_pyarrow_read_the_same_rows(lake):
    assert lake.run(MOVED, AS_OF)
    rows = [row for part in lake.curated("fact_order").values() for row in part]
    files = str(lake.root / "curated" / "date=*" / "fact_order.parquet")
    with duckdb.connect() as connection:
        assert (
            connection.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [files]).fetchall() == rows
        )
        by_path = "SELECT date, count(*) FROM read_parquet(?, hive_partitioning = true) GROUP BY 1 ORDER BY 1"
        assert connection.execute(by_path, [files]).fetchall() == [(dt.date(2025, 1, 15), 1), (dt.date(2025, 1, 16), 3)]
    paths = [str(path) for path in sorted(lake.root.glob("curated/date=*/fact_order.parquet"))]
    part = ds.partitioning(pa.schema([("date", pa.date32())]), flavor="hive")
    dataset = ds.dataset(
        paths, schema=FACT_ORDER.schema, format="parquet", partitioning=part, partition_base_dir=str(lake.root)
    )
    assert [tuple(row.values()) for row in dataset.to_table().to_pylist()] == rows
    one_day = dataset.to_table(filter=ds.field("date") == dt.date(2025, 1, 16))
    assert one_day.num_rows == 3
    frame = pd.concat(pd.read_parquet(path, partitioning=None) for path in paths)
    assert frame["order_id"].tolist() == [row[0] for row in rows]
    assert frame["created_at"].tolist() == [pd.Timestamp(row[6]) for row in rows]
