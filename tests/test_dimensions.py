"""SeedDims and init_database load users and products from their CSV files by key, and delete no row."""

import datetime as dt
import json
import shutil
import subprocess
import sys
from decimal import Decimal

import duckdb
import pyarrow.parquet as pq
import pytest
from depth import some
from feeds import order

from pipeline import init_database
from pipeline.errors import UnreadableDimension, UnusableWarehouse

AS_OF = dt.datetime(2025, 1, 20, 12)
ORDERS = [order("o_1"), order("o_2", created_at="2025-01-16")]
USERS_HEADER = "user_id,email,created_at,country"
PRODUCTS_HEADER = "sku,name,category,price"


@pytest.fixture
def seed(lake):
    """Runs SeedDims after writing the CSV files given as rows; whether it succeeded."""
    stamps = (AS_OF + dt.timedelta(hours=hour) for hour in range(99))

    def seed(users=None, products=None) -> bool:
        for path, header, rows in (
            (lake.users_csv, USERS_HEADER, users),
            (lake.products_csv, PRODUCTS_HEADER, products),
        ):
            if rows is not None:
                path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return lake.seed(next(stamps))

    return seed


def table(lake, name: str) -> list[tuple]:
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        return connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()


def dimension(lake, name: str) -> list[tuple]:
    return [tuple(row.values()) for row in pq.read_table(lake.root / f"curated/{name}.parquet").to_pylist()]


def counts(lake) -> dict[str, dict[str, int]]:
    return json.loads((lake.root / "curated/_dims.json").read_text())["counts"]


def test_users_and_products_are_typed_and_published(lake, seed):
    assert seed(["u_1,a@example.org,2025-01-01T23:30:00-05:00,DE"], ['s_1,"Mug, blue",kitchen,9.5'])
    user = ("u_1", "a@example.org", dt.datetime(2025, 1, 2, 4, 30), "DE")
    product = ("s_1", "Mug, blue", "kitchen", Decimal("9.5000"))
    assert table(lake, "users") == dimension(lake, "dim_user") == [user]
    assert table(lake, "products") == dimension(lake, "dim_product") == [product]


def test_the_last_row_of_a_key_wins(lake, seed):
    assert seed(["u_1,old@x,,DE", "u_2,b@x,,FR", "u_1,new@x,,IT"])
    assert [row[:2] for row in table(lake, "users")] == [("u_1", "new@x"), ("u_2", "b@x")]


def test_a_changed_csv_updates_and_adds_users_and_deletes_none(lake, seed):
    assert seed(["u_1,a@x,,DE", "u_2,b@x,,FR"])
    assert seed(["u_2,new@x,,IT", "u_3,c@x,,ES"])
    assert [(row[0], row[1], row[3]) for row in table(lake, "users")] == [
        ("u_1", "a@x", "DE"),
        ("u_2", "new@x", "IT"),
        ("u_3", "c@x", "ES"),
    ]
    assert dimension(lake, "dim_user") == table(lake, "users")


def test_a_csv_that_did_not_change_is_not_seeded_again_until_it_does_and_then_wins_over_hand_edits(lake, seed):
    assert seed(["u_1,a@x,,DE"])
    with duckdb.connect(str(lake.warehouse)) as connection:
        connection.execute("UPDATE users SET email = 'hand@x'")
        connection.execute("INSERT INTO users VALUES ('u_9', 'hand@x', NULL, NULL)")
    written = lake.written()
    assert seed()
    assert lake.written() == written
    assert [row[1] for row in table(lake, "users")] == ["hand@x", "hand@x"]
    assert seed(["u_1,a@x,,FR"])
    assert [row[1] for row in table(lake, "users")] == ["a@x", "hand@x"]
    assert [row[0] for row in dimension(lake, "dim_user")] == ["u_1", "u_9"]


BAD_USERS = {
    ",a@x,,DE": "missing_user_id",
    "  ,a@x,,DE": "missing_user_id",
    "u_2,a@x,yesterday,DE": "invalid_created_at",
    "u_3,a@x,2025-02-30,DE": "invalid_created_at",
    "u_4,a@x": "ragged_row",
    "u_5,a@x,,DE,more": "ragged_row",
}
BAD_PRODUCTS = {
    ",Mug,kitchen,1": "missing_sku",
    "s_2,Mug,kitchen,NaN": "invalid_price",
    "s_3,Mug,kitchen,1e14": "invalid_price",
    's_4,Mug,kitchen,"1,5"': "invalid_price",
}


def test_rows_without_a_key_or_with_unreadable_values_are_quarantined_and_counted(lake, seed):
    assert seed(["u_1,good@x,,DE", *BAD_USERS], [*BAD_PRODUCTS, "s_1,Mug,kitchen,"])
    assert counts(lake) == {
        "dim_user": {"rows": 1, "discarded": len(BAD_USERS)},
        "dim_product": {"rows": 1, "discarded": len(BAD_PRODUCTS)},
    }
    for name, bad in (("dim_user", BAD_USERS), ("dim_product", BAD_PRODUCTS)):
        rows = pq.read_table(lake.root / f"quarantine/{name}.parquet").to_pylist()
        assert [row["reason"] for row in rows] == list(bad.values())
        for row, text in zip(rows, bad, strict=True):
            first = json.loads(row["record"])
            assert text.split(",")[0] in first.values()


def test_an_unreadable_row_leaves_what_the_warehouse_had_of_its_key(lake, seed):
    assert seed(["u_1,a@x,2025-01-01,DE"])
    assert seed(["u_1,b@x,never,DE"])
    assert [row[1] for row in table(lake, "users")] == ["a@x"]


def test_the_quarantine_goes_when_the_rows_are_mended(lake, seed):
    assert seed([",a@x,,DE"])
    assert (lake.root / "quarantine/dim_user.parquet").exists()
    assert seed(["u_1,a@x,,DE"])
    assert not (lake.root / "quarantine/dim_user.parquet").exists()


def test_hostile_values_are_text_like_any_other(lake, seed):
    nasty = ["'; DROP TABLE users; --", "../../etc/passwd", "=1+1", "😀", "NULL", "é"]
    assert seed([f"{text},{text},,{text}" for text in nasty])
    assert sorted(row[0] for row in table(lake, "users")) == sorted(nasty)
    assert {row[0]: row[1] for row in table(lake, "users")} == {text: text for text in nasty}


def test_columns_may_stand_in_any_order_with_others_and_a_byte_order_mark(lake, seed):
    lake.users_csv.write_text("\ufeffcountry,extra,email,user_id,created_at\r\nDE,x,a@x,u_1,\r\n", encoding="utf-8")
    assert seed()
    assert table(lake, "users") == [("u_1", "a@x", None, "DE")]


BAD = ["no such thing as a header\nu_1,a@x,,DE\n", 'user_id,email,created_at,country\nu_1,"a,,DE\n', None]


def spoil(path, content: str | None) -> None:
    """Make a CSV what it cannot be read as; None: it is gone."""
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


@pytest.mark.parametrize("content", BAD, ids=["no header", "open quote", "gone"])
def test_a_bad_users_csv_does_not_hold_products_back_and_dim_user_is_not_there_yet(lake, seed, content):
    spoil(lake.users_csv, content)
    assert not seed(None, ["s_1,Mug,kitchen,9.5"])
    (error,) = lake.errors
    assert f"UnreadableDimension: [warehouse] users_csv = {lake.users_csv}: " in error
    assert "products_csv" not in error
    assert table(lake, "products") == dimension(lake, "dim_product") == [("s_1", "Mug", "kitchen", Decimal("9.5000"))]
    assert table(lake, "users") == []
    assert not (lake.root / "curated/dim_user.parquet").exists()
    assert counts(lake) == {"dim_product": {"rows": 1, "discarded": 0}}
    assert lake.litter() == []


def test_a_bad_products_csv_does_not_hold_users_back(lake, seed):
    lake.products_csv.unlink()
    assert not seed(["u_1,a@x,,DE"])
    assert dimension(lake, "dim_user") == table(lake, "users") == [("u_1", "a@x", None, "DE")]
    assert not (lake.root / "curated/dim_product.parquet").exists()


@pytest.mark.parametrize("content", BAD, ids=["no header", "open quote", "gone"])
def test_users_published_before_stay_as_they_are_and_listed_while_users_csv_is_bad(lake, seed, content):
    assert seed(["u_1,a@x,,DE", ",nobody@x,,DE"], ["s_1,Mug,kitchen,9.5"])
    before, rows = lake.written(), table(lake, "users")
    files = lake.manifests()["curated/_dims.json"]["files"]
    spoil(lake.users_csv, content)
    assert not seed(None, ["s_1,Mug,kitchen,9.5", "s_2,Cup,kitchen,1"])
    assert [row[0] for row in dimension(lake, "dim_product")] == ["s_1", "s_2"]
    assert table(lake, "users") == dimension(lake, "dim_user") == rows
    of_users = {"curated/dim_user.parquet", "quarantine/dim_user.parquet"}
    assert {name: lake.written()[name] for name in of_users} == {name: before[name] for name in of_users}
    manifest = lake.manifests()["curated/_dims.json"]
    assert {name: manifest["files"][name] for name in of_users} == {name: files[name] for name in of_users}
    assert manifest["files"].keys() == of_users | {"curated/dim_product.parquet"}
    assert counts(lake) == {"dim_user": {"rows": 1, "discarded": 1}, "dim_product": {"rows": 2, "discarded": 0}}


def test_a_bad_users_csv_is_tried_again_by_each_run_and_products_are_not_written_again(lake, seed):
    spoil(lake.users_csv, None)
    assert not seed(None, ["s_1,Mug,kitchen,9.5"])
    before = lake.written(), lake.warehouse.stat()
    assert not seed()
    assert "users_csv" in lake.errors[0]
    assert (lake.written(), lake.warehouse.stat()) == before
    assert seed(["u_1,a@x,,DE"])
    assert dimension(lake, "dim_user") == [("u_1", "a@x", None, "DE")]
    assert before[0].items() <= lake.written().items()
    assert counts(lake) == {"dim_user": {"rows": 1, "discarded": 0}, "dim_product": {"rows": 1, "discarded": 0}}


def test_a_users_csv_that_is_again_what_it_was_before_it_was_bad_is_seeded_again(lake, seed):
    assert seed(["u_1,a@x,,DE"])
    spoil(lake.users_csv, None)
    lake.warehouse.unlink()
    assert not seed()
    assert seed(["u_1,a@x,,DE"])
    assert table(lake, "users") == [("u_1", "a@x", None, "DE")]


def test_when_both_are_bad_one_error_names_both_and_nothing_is_published(lake, seed):
    spoil(lake.users_csv, "what\n")
    spoil(lake.products_csv, None)
    assert not seed()
    (error,) = lake.errors
    assert f"[warehouse] users_csv = {lake.users_csv}: no column user_id" in error
    assert f"[warehouse] products_csv = {lake.products_csv}: No such file" in error
    assert not lake.warehouse.exists()
    assert lake.files() == lake.manifests() == {}


def test_a_run_with_a_bad_users_csv_fails_naming_it_and_publishes_orders_and_products(lake):
    lake.users_csv.unlink()
    assert not lake.run(ORDERS, AS_OF)
    (error,) = lake.errors
    assert f"[warehouse] users_csv = {lake.users_csv}: No such file" in error
    assert [len(rows) for rows in lake.curated("fact_order").values()] == [2, 2]
    assert [row[0] for row in dimension(lake, "dim_product")] == ["s_1"]
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM dim_user), count(*) FROM dim_product").fetchall() == [
            (0, 1)
        ]


OTHER_SHAPES = {
    "not an object": [],
    "empty": {},
    "id only": {"id": "x"},
    "no files": {"id": "x", "warehouse": "w", "made_from": {}, "counts": {}},
    "no counts": {"id": "x", "warehouse": "w", "made_from": {}, "files": {}},
    "no made_from": {"id": "x", "warehouse": "w", "files": {}, "counts": {}},
    "files in a list": {"id": "x", "warehouse": "w", "made_from": {}, "files": ["a"], "counts": {}},
    "a size that is text": {"id": "x", "warehouse": "w", "made_from": {}, "files": {"a": "b"}, "counts": {}},
    "counts that are numbers": {"id": "x", "warehouse": "w", "made_from": {}, "files": {}, "counts": {"dim_user": 1}},
    "made_from is text": {"id": "x", "warehouse": "w", "made_from": "x", "files": {}, "counts": {}},
}


@pytest.mark.parametrize(
    "shape", some(OTHER_SHAPES, ["not an object", "no counts", "a size that is text"], "shapes of a file")
)
def test_a_manifest_of_the_dimensions_of_another_shape_counts_as_absent(lake, seed, shape):
    assert seed(["u_1,a@x,,DE"])
    manifest = lake.root / "curated/_dims.json"
    before = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(OTHER_SHAPES[shape]))
    assert seed()
    assert (
        json.loads(manifest.read_text()).items() >= {name: before[name] for name in ("id", "files", "counts")}.items()
    )
    manifest.write_text(json.dumps(OTHER_SHAPES[shape]))
    lake.products_csv.unlink()
    assert not seed()
    assert "products_csv" in lake.errors[0]
    assert [row[0] for row in dimension(lake, "dim_user")] == ["u_1"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no column user_id, email, created_at, country"),
        (b"user_id,email,country\nu_1,a,DE\n", "no column created_at"),
        (b"user_id,email,created_at,country\n\xff,a,,DE\n", "users.csv"),
        (b'user_id,email,created_at,country\nu_1,"a,,DE\n', "users.csv"),
        (b"\x00\x01\x02", "users.csv"),
    ],
)
def test_a_csv_that_is_no_table_of_users_is_one_error_that_names_it_and_orders_are_built(lake, content, found):
    lake.users_csv.write_bytes(content)
    assert not lake.run(ORDERS, AS_OF)
    (error,) = lake.errors
    assert "[warehouse] users_csv" in error
    assert found in error
    assert "expected" in error
    assert [len(rows) for rows in lake.curated("fact_order").values()] == [2, 2]


def test_without_a_csv_orders_are_built_one_error_names_it_and_the_next_run_heals(lake):
    lake.products_csv.unlink()
    assert not lake.run(ORDERS, AS_OF)
    (error,) = lake.errors
    assert f"[warehouse] products_csv = {lake.products_csv}: No such file or directory" in error
    assert sorted(lake.curated("fact_order")) == [dt.date(2025, 1, 15), dt.date(2025, 1, 16)]
    lake.products_csv.write_text(f"{PRODUCTS_HEADER}\ns_1,Mug,kitchen,1\n")
    written = lake.written()
    assert lake.run(None, AS_OF + dt.timedelta(hours=1))
    assert dimension(lake, "dim_product") == [("s_1", "Mug", "kitchen", Decimal("1.0000"))]
    assert written.items() <= lake.written().items()


def test_a_csv_that_goes_missing_leaves_the_dimensions_as_they_were(lake):
    assert lake.run(ORDERS, AS_OF)
    before = dimension(lake, "dim_user")
    lake.users_csv.unlink()
    assert not lake.run(None, AS_OF + dt.timedelta(hours=1))
    assert dimension(lake, "dim_user") == before == table(lake, "users")


def test_orders_of_unknown_users_and_skus_are_kept_and_counted(lake):
    assert lake.run([order("o_1", user_id="nobody"), order("o_2"), order("o_3", user_id=None)], AS_OF)
    assert lake.summary(AS_OF)["late_arriving"] == {"unknown_user": 1, "unknown_sku": 3}
    assert len(lake.curated("fact_order")[dt.date(2025, 1, 15)]) == 6


# init_database


def test_init_database_creates_and_seeds_the_warehouse(lake, tmp_path):
    path = tmp_path / "new" / "folder" / "warehouse.db"
    with lake.configured():
        init_database(str(path))
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT user_id FROM users").fetchall() == [("u_1",)]
        assert connection.execute("SELECT sku, price FROM products").fetchall() == [("s_1", Decimal("10.0000"))]


def test_init_database_seeds_only_tables_that_are_empty(lake):
    with lake.configured():
        init_database(str(lake.warehouse))
        with duckdb.connect(str(lake.warehouse)) as connection:
            connection.execute("UPDATE users SET email = 'hand@x'")
            connection.execute("DELETE FROM products")
        lake.users_csv.write_text(f"{USERS_HEADER}\nu_1,csv@x,,DE\nu_2,csv@x,,DE\n")
        init_database(str(lake.warehouse))
    assert [row[:2] for row in table(lake, "users")] == [("u_1", "hand@x")]
    assert [row[0] for row in table(lake, "products")] == ["s_1"]


def test_init_database_names_a_csv_that_is_missing_and_creates_nothing(lake):
    lake.users_csv.unlink()
    with lake.configured(), pytest.raises(UnreadableDimension, match=r"\[warehouse\] users_csv = .*users.csv: No such"):
        init_database(str(lake.warehouse))
    assert not lake.warehouse.exists()


def test_a_file_that_is_no_database_is_refused_by_name_and_left_alone(lake):
    lake.warehouse.write_text("user_id,email\n" * 1000)
    with lake.configured(), pytest.raises(UnusableWarehouse, match=r"\[warehouse\] path = .*warehouse.db: .*expected"):
        init_database(str(lake.warehouse))
    assert lake.warehouse.read_text() == "user_id,email\n" * 1000
    assert not lake.run(ORDERS, AS_OF)
    assert all("[warehouse] path" in error for error in lake.errors)
    assert len(lake.curated("fact_order")) == 2
    assert lake.litter() == []


# a build of the warehouse that was killed

KILLED_BUILD = """
import os, signal, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("INSERT INTO users VALUES ('u_ghost', 'ghost@x', NULL, NULL)")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed_build(lake):
    """Leaves what a build of the warehouse leaves that is killed with a user in its log and rows spilled to disk."""

    def killed_build() -> None:
        building = f"{lake.warehouse}.building"
        shutil.copyfile(lake.warehouse, building)
        done = subprocess.run([sys.executable, "-c", KILLED_BUILD, building], check=False)
        assert done.returncode == -9
        spilled = lake.warehouse.with_name("warehouse.db.building.tmp") / "duckdb_temp_storage_DEFAULT-0.tmp"
        spilled.parent.mkdir()
        spilled.write_bytes(b"spilled")
        for leftover in ("building.wal.checkpoint", "building.old", "building.old.wal"):
            lake.warehouse.with_name(f"warehouse.db.{leftover}").write_bytes(b"of a killed build")
        assert lake.warehouse.with_name("warehouse.db.building.wal").exists()

    return killed_build


def test_users_of_a_build_that_was_killed_do_not_come_back_with_the_next_one(lake, seed, killed_build):
    assert seed(["u_1,a@x,,DE"])
    killed_build()
    assert seed(["u_1,a@x,,DE", "u_2,b@x,,FR"])
    assert [row[0] for row in table(lake, "users")] == ["u_1", "u_2"]
    assert dimension(lake, "dim_user") == table(lake, "users")
    assert lake.litter() == []


def test_users_of_a_build_that_was_killed_do_not_come_back_with_init_database(lake, seed, killed_build):
    assert seed(["u_1,a@x,,DE"])
    killed_build()
    with lake.configured():
        init_database(str(lake.warehouse))
    assert [row[0] for row in table(lake, "users")] == ["u_1"]
    assert lake.litter() == []


def test_a_build_that_was_killed_does_not_stop_the_next_one_of_a_warehouse_that_has_changed_since(
    lake, seed, killed_build
):
    assert seed(["u_1,a@x,,DE"])
    killed_build()
    with duckdb.connect(str(lake.warehouse)) as connection:
        connection.execute("UPDATE users SET country = 'IT'")
    assert seed([], ["s_1,Mug,kitchen,1"]), lake.errors
    assert table(lake, "users") == [("u_1", "a@x", None, "IT")]
    assert lake.litter() == []
