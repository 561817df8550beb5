"""Lost, damaged and foreign files: no order is published twice, other dates continue, and the next run mends them."""

import datetime as dt
import json
import logging
import shutil
from pathlib import Path

import pytest
from depth import deep, some
from feeds import order
from lake import LakeUnderTest

from pipeline import NormalizeOrders, WriteFactOrder, WriteOrderItems
from pipeline.contract import NORMALIZED_STAGE
from pipeline.lake.lake import Lake

JAN_14, JAN_15, JAN_16, JAN_17 = (dt.date(2025, 1, day) for day in (14, 15, 16, 17))
SETTLED = dt.datetime(2025, 2, 1)
HOUR = dt.timedelta(hours=1)
LATER, LATEST, LAST = SETTLED + HOUR, SETTLED + 2 * HOUR, SETTLED + 3 * HOUR


def on(day: int, order_id: str, **fields) -> bytes:
    return order(order_id, created_at=f"2025-01-{day:02}T10:00:00Z", **fields)


def ids(lake: LakeUnderTest, table: str = "fact_order") -> dict[dt.date, list[str]]:
    return {date: sorted({row[0] for row in rows}) for date, rows in lake.curated(table).items()}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def interrupt_normalizing(lake: LakeUnderTest, date: dt.date) -> None:
    """As a run leaves it that is killed between taking the manifest back and committing the new one."""
    path = lake.root / f"normalized/date={date}/_normalized.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": None}))


# An order whose other partition is not whole


MOVED = [on(15, "o_2"), on(16, "o_1", amount=12), on(16, "o_3")]


@pytest.fixture
def moving(lake: LakeUnderTest) -> LakeUnderTest:
    """o_1 is curated on the 15th, whose normalizing was killed, and the dump has moved it to the 16th."""
    assert lake.run([on(15, "o_1"), on(15, "o_2"), on(16, "o_3"), on(17, "o_4")], SETTLED)
    interrupt_normalizing(lake, JAN_15)
    return lake


def test_an_order_is_not_published_a_second_time_while_its_old_partition_is_not_whole(moving):
    assert not moving.run_date(WriteFactOrder, JAN_16, [*MOVED, on(17, "o_4")], LATER, force=True)
    assert ids(moving)[JAN_15] == ["o_1", "o_2"]
    assert ids(moving)[JAN_16] == ["o_3"]
    (error,) = moving.errors
    assert "normalized/date=2025-01-15: not whole, and 1 order(s) are in curated/date=2025-01-15 and in date=" in error
    assert "run `luigi --module pipeline NormalizeOrders --date 2025-01-15 --local-scheduler`, then run again" in error


def test_a_date_that_shares_no_order_with_a_broken_partition_is_published(moving):
    changed = [*MOVED, on(17, "o_4", amount=44)]
    assert moving.run_date(WriteFactOrder, JAN_17, changed, LATER, force=True), moving.errors
    assert sum(row[3] for row in moving.curated("fact_order")[JAN_17]) == 44


def test_the_stale_mark_stays_until_every_normalized_partition_is_whole(moving):
    changed = [*MOVED, on(17, "o_4", amount=44)]
    assert moving.run_date(WriteFactOrder, JAN_17, changed, LATER, force=True)
    assert (moving.root / "curated/_stale.json").exists()
    assert moving.run(None, LATEST, force=True), moving.errors
    assert not (moving.root / "curated/_stale.json").exists()
    assert ids(moving) == ids(moving, "order_items") == {JAN_15: ["o_2"], JAN_16: ["o_1", "o_3"], JAN_17: ["o_4"]}


def test_the_command_that_the_error_names_lets_the_date_be_published(moving):
    assert not moving.run_date(WriteFactOrder, JAN_16, [*MOVED, on(17, "o_4")], LATER, force=True)
    assert moving.run_date(NormalizeOrders, JAN_15, None, LATEST, force=True)
    assert moving.run_date(WriteFactOrder, JAN_16, None, LAST), moving.errors
    assert ids(moving) == {JAN_15: ["o_2"], JAN_16: ["o_1", "o_3"], JAN_17: ["o_4"]}


def test_curated_files_of_a_broken_partition_that_nobody_can_read_hold_no_order_back(moving):
    for table in ("fact_order", "order_items"):
        path = moving.root / f"curated/date={JAN_15}/{table}.parquet"
        path.write_bytes(b"x" * path.stat().st_size)
    assert moving.run_date(WriteFactOrder, JAN_16, [*MOVED, on(17, "o_4")], LATER, force=True), moving.errors
    assert moving.run(None, LATEST), moving.errors
    assert ids(moving) == {JAN_15: ["o_2"], JAN_16: ["o_1", "o_3"], JAN_17: ["o_4"]}


# A check that failed


def test_a_check_that_failed_is_made_again_by_the_next_run_until_it_passes(lake):
    assert lake.run([on(15, "o_1"), on(16, "o_2")], SETTLED)
    duplicate = lake.root / f"curated/date={JAN_15}/fact_order.parquet"
    good = duplicate.read_bytes()
    other = LakeUnderTest(lake.root.parent / "other")
    assert other.run([on(15, "o_2")], SETTLED)
    duplicate.write_bytes((other.root / f"curated/date={JAN_15}/fact_order.parquet").read_bytes())
    lake.forget_keys(JAN_15)
    name = lake.root / f"curated/date={JAN_15}/_fact_order.json"
    manifest = json.loads(name.read_text())
    size = duplicate.stat().st_size
    name.write_text(json.dumps(manifest | {"files": {str(duplicate.relative_to(lake.root)): size}}))
    assert not lake.run([on(15, "o_1"), on(16, "o_2", amount=7)], LATER, since=dt.datetime(2025, 1, 16), force=True)
    assert "check order_id_in_one_partition: 1 row(s) break it" in lake.errors[0]
    assert not lake.run(None, LATEST, since=dt.datetime(2025, 1, 16))
    assert "check order_id_in_one_partition: 1 row(s) break it" in lake.errors[0]
    name.write_text(json.dumps(manifest))
    duplicate.write_bytes(good)
    assert lake.run(None, LAST, since=dt.datetime(2025, 1, 16))
    assert not (lake.root / "curated/_unchecked.json").exists()


# A file of the right size that cannot be read

FILES = {
    "orders": "normalized/date={}/orders.parquet",
    "items": "normalized/date={}/items.parquet",
    "fact_order": "curated/date={}/fact_order.parquet",
    "order_items": "curated/date={}/order_items.parquet",
}


def rot(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("file", some(FILES, ["orders", "fact_order"], "files that are garbage"))
def test_a_rotten_file_of_another_date_stops_no_date_and_is_made_anew(lake, file):
    feed = [on(14, "o_0"), on(15, "o_1"), on(15, "o_2"), on(16, "o_3")]
    assert lake.run(feed, SETTLED)
    wanted = {name: content for name, content in lake.files().items() if "date=2025-01-15" in name}
    rot(lake.root / FILES[file].format(JAN_15))
    moved = [on(14, "o_0"), on(15, "o_1"), on(15, "o_2"), on(16, "o_3", amount=7)]
    chosen = {"since": dt.datetime(2025, 1, 16), "until": dt.datetime(2025, 1, 17)}
    found = not lake.run(moved, LATER, **chosen, force=True)
    assert sum(row[3] for row in _readable(lake, JAN_16)) == 7
    if found:
        assert all("date=2025-01-15" in error for error in lake.errors), lake.errors
        assert "2025-01-15" in lake.summary(LATER)["failed"] or file in ("fact_order", "order_items")
    lake.run(None, LATEST, reprocess=file == "items" or not found)
    assert lake.run(None, LAST), lake.errors
    assert {name: content for name, content in lake.files().items() if "date=2025-01-15" in name} == wanted


def _readable(lake: LakeUnderTest, date: dt.date) -> list[tuple]:
    import pyarrow.parquet as pq

    path = lake.root / f"curated/date={date}/fact_order.parquet"
    return [tuple(row.values()) for row in pq.read_table(path, partitioning=None).to_pylist()]


@pytest.mark.parametrize("file", some(["orders", "fact_order"], ["orders"], "files that are garbage"))
def test_a_shared_scan_finds_the_rotten_file_and_fails_its_date_only(lake, file):
    assert lake.run([on(15, "o_1"), on(16, "o_3")], SETTLED)
    rot(lake.root / FILES[file].format(JAN_15))
    lake.forget_keys(JAN_15)  # otherwise no table of that date is opened
    assert not lake.run_date(
        WriteFactOrder, JAN_16, [on(15, "o_1"), on(16, "o_4"), on(16, "o_3")], LATER, force=True
    ) or (file == "fact_order")
    assert not lake.run(None, LATEST, since=dt.datetime(2025, 1, 16), reprocess=True) or file == "orders"
    assert lake.run(None, LAST), lake.errors
    assert ids(lake) == {JAN_15: ["o_1"], JAN_16: ["o_3", "o_4"]}


@deep("files that are garbage")
def test_a_rotten_dimension_is_made_anew_by_the_next_run(lake):
    assert lake.run([on(15, "o_1")], SETTLED)
    path = lake.root / "curated/dim_user.parquet"
    whole = path.read_bytes()
    rot(path)
    assert lake.run(None, LATER), lake.errors
    assert path.read_bytes() == whole


def test_a_rotten_dimension_without_a_hash_stops_no_date_and_is_made_anew(lake):
    """Earlier versions have not written hashes."""
    assert lake.run([on(15, "o_1")], SETTLED)
    path, manifest = lake.root / "curated/dim_user.parquet", lake.root / "curated/_dims.json"
    whole = path.read_bytes()
    rot(path)
    told = json.loads(manifest.read_text())
    del told["hashes"]
    manifest.write_text(json.dumps(told))
    assert not lake.run([on(15, "o_1"), on(16, "o_2")], LATER)
    assert "curated/dim_user.parquet: cannot be read; the next RunAll makes the file again" in lake.errors[0]
    assert ids(lake) == {JAN_15: ["o_1"], JAN_16: ["o_2"]}
    assert lake.run(None, LATEST)
    assert path.read_bytes() == whole


def test_views_that_meet_a_file_that_cannot_be_read_blame_the_file_and_not_the_warehouse(lake):
    assert lake.run([on(15, "o_1")], SETTLED)
    whole = lake.files()
    rot(lake.root / FILES["orders"].format(JAN_15))
    (lake.root / "curated/_warehouse.json").unlink()
    assert not lake.run(None, LATER)
    assert len(lake.errors) == 1
    assert "normalized/date=2025-01-15: orders.parquet cannot be read" in lake.errors[0]
    assert "delete the file" not in lake.errors[0]
    assert lake.run(None, LATEST), lake.errors
    assert lake.files() == whole


def test_a_value_that_has_changed_on_disk_is_not_copied_into_curated(lake):
    assert lake.run([on(15, "o_1")], SETTLED)
    whole = lake.files()
    path = lake.root / FILES["items"].format(JAN_15)
    path.write_bytes(path.read_bytes().replace(b"s_1", b"s_7"))
    assert {row[2] for row in lake.normalized("items")[JAN_15]} == {"s_7", "s_2"}
    (lake.root / FILES["order_items"].format(JAN_15)).unlink()
    assert not lake.run_date(WriteOrderItems, JAN_15, None, LATER)
    assert "normalized/date=2025-01-15: items has other bytes than were published" in lake.errors[0]
    assert lake.run(None, LATEST), lake.errors
    assert lake.files() == whole


def test_dimensions_whose_manifest_names_a_file_that_nobody_makes_are_made_anew(lake):
    assert lake.run([on(15, "o_1")], SETTLED)
    path = lake.root / "curated/_dims.json"
    path.write_text(path.read_text().replace("curated/dim_user.parquet", "curated/dim_uses.parquet"))
    assert lake.run(None, LATER), lake.errors
    assert sorted(lake.manifests()["curated/_dims.json"]["files"]) == [
        "curated/dim_product.parquet",
        "curated/dim_user.parquet",
    ]


STAGES = ["raw/date={}/_raw.json", "normalized/date={}/_normalized.json", "curated/date={}/_fact_order.json"]


@pytest.mark.parametrize("name", some(STAGES, STAGES[:1], "shapes of a file"))
def test_the_manifest_of_another_date_counts_as_absent_and_the_next_run_makes_its_own(lake, name):
    assert lake.run([on(14, "o_1"), on(15, "o_2")], SETTLED)
    whole = lake.files()
    shutil.copy(lake.root / name.format(JAN_14), lake.root / name.format(JAN_15))
    assert lake.run(None, LATER), lake.errors
    assert lake.files() == whole
    assert f"date={JAN_14}" not in (lake.root / name.format(JAN_15)).read_text()


# Foreign files and folders


FOREIGN = ["date=2025-01-15.bak", "date=foo", "date=9999-12-31", "date=2025-02-30", "date="]


@pytest.mark.parametrize("folder", some(FOREIGN, FOREIGN[:1], "foreign folders"))
@pytest.mark.parametrize("layer", some(["raw", "normalized", "curated"], ["raw"], "foreign folders"))
def test_a_folder_that_is_no_date_is_no_partition_and_named_once(lake, caplog, layer, folder):
    assert lake.run([on(15, "o_1"), on(16, "o_2")], SETTLED)
    shutil.copytree(lake.root / f"{layer}/date=2025-01-15", lake.root / layer / folder)
    assert lake.run([on(15, "o_1"), on(16, "o_2", amount=7)], LATER, force=True), lake.errors
    assert lake.run(None, LATEST, changed_since="auto"), lake.errors
    (warning,) = [warning for warning in warnings(caplog) if "event=foreign" in warning]
    assert f"{layer}/{folder}" in warning
    assert sorted(lake.summary(LATER)["dates"]) == ["2025-01-15", "2025-01-16"]


def test_the_views_do_not_read_a_copy_of_a_partition(lake):
    import duckdb

    assert lake.run([on(15, "o_1")], SETTLED)
    shutil.copytree(lake.root / "curated/date=2025-01-15", lake.root / "curated/date=2025-01-15.bak")
    with duckdb.connect(lake.warehouse, read_only=True) as warehouse:
        assert warehouse.execute("SELECT sum(amount) FROM fact_order").fetchone() == (30,)


MANIFESTS = ["raw/date={}/_raw.json", "normalized/date={}/_normalized.json", "curated/date={}/_fact_order.json"]


@pytest.mark.parametrize(
    "name",
    some(MANIFESTS, MANIFESTS[1:2], "shapes of a file"),
)
def test_a_manifest_of_another_shape_counts_as_absent(lake, name):
    assert lake.run([on(15, "o_1"), on(16, "o_2")], SETTLED)
    files = lake.files()
    other_shapes = [
        "[]",
        '{"id": 7}',
        '{"id": "x"}',
        '{"id": "x", "files": {"a": "big"}, "as_of": "2025-02-01T00:00:00.000000Z", "because": "", "counts": {}}',
        '{"id": null, "neighbours": "all"}',
        '{"made_from": null}',
    ]
    for minutes, content in enumerate(other_shapes):
        (lake.root / name.format(JAN_15)).write_text(content)
        assert lake.run(None, LATER + dt.timedelta(minutes=minutes)), (content, lake.errors)
        assert lake.files() == files, content


STATES = ["[]", "7", '{"parts": {"2025-01-15": 3}, "as_of": 5, "dates": 1}']


@pytest.mark.parametrize(
    "name",
    some(
        ["raw/_inventory.json", "raw/_changed_since.json", "curated/_stale.json"],
        ["curated/_stale.json"],
        "shapes of a file",
    ),
)
@pytest.mark.parametrize("content", some(STATES, STATES[-1:], "shapes of a file"))
def test_a_file_of_state_of_another_shape_stops_nothing(lake, name, content):
    assert lake.run([on(15, "o_1")], SETTLED, changed_since="auto")
    (lake.root / name).write_text(content)
    assert lake.run(None, LATER, changed_since="auto"), lake.errors
    assert lake.run([on(15, "o_1"), on(16, "o_2")], LATEST), lake.errors
    assert ids(lake) == {JAN_15: ["o_1"], JAN_16: ["o_2"]}


# Lost raw


def test_a_date_whose_raw_folder_is_lost_and_that_the_source_lacks_is_an_error_not_left_alone(lake):
    assert lake.run([on(15, "o_1"), on(16, "o_2")], SETTLED)
    shutil.rmtree(lake.root / f"raw/date={JAN_15}")
    for as_of, force in ((LATER, False), (LATEST, True)):
        assert not lake.run([on(16, "o_2")], as_of, force=force)
        assert "raw date=2025-01-15: 1 of its 1 landed order_ids are gone" in lake.errors[0]
        assert ids(lake) == {JAN_15: ["o_1"], JAN_16: ["o_2"]}
    assert lake.run(None, LAST, allow_shrink=True), lake.errors
    assert ids(lake) == {JAN_15: [], JAN_16: ["o_2"]}


@pytest.mark.parametrize("lost", ["orders_raw.json", "_raw.json", "both", "cut"])
def test_the_shrink_guard_holds_when_the_raw_file_is_lost(lake, lost):
    assert lake.run([on(15, f"o_{n}") for n in range(10)], SETTLED)
    folder = lake.root / f"raw/date={JAN_15}"
    for path in [folder / "orders_raw.json", folder / "_raw.json"] if lost == "both" else [folder / lost]:
        if lost == "cut":
            with open(folder / "orders_raw.json", "r+b") as file:
                file.truncate(100)
        else:
            path.unlink()
    assert not lake.run([on(15, "o_1")], LATER)
    assert "raw date=2025-01-15: 9 of its 10 landed order_ids are gone" in lake.errors[0]
    assert len(ids(lake)[JAN_15]) == 10


def test_the_guard_goes_by_curated_when_raw_and_normalized_are_lost(lake):
    assert lake.run([on(15, f"o_{n}") for n in range(10)], SETTLED)
    for layer in ("raw", "normalized"):
        shutil.rmtree(lake.root / f"{layer}/date={JAN_15}")
    assert not lake.run([on(15, "o_1")], LATER)
    assert "raw date=2025-01-15: 9 of its 10 landed order_ids are gone" in lake.errors[0]


def test_a_partition_is_found_in_any_layer(lake):
    assert lake.run([on(15, "o_1")], SETTLED)
    shutil.rmtree(lake.root / "raw")
    assert Lake(lake.root).dates() == ["2025-01-15"]
    assert Lake(lake.root).manifest(NORMALIZED_STAGE, "2025-01-15") is not None
    assert lake.plan(LATER)[0] == "2025-01-15  fetch      not landed"


# A file of which the keys can be read and other columns cannot


def rot_column(path: Path, column: str) -> None:
    """Overwrite the data of one column."""
    import pyarrow.parquet as pq

    group = pq.ParquetFile(path).metadata.row_group(0)
    chunk = next(group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == column)
    content = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(bytes(content))


@deep("files that are garbage")
def test_an_order_does_not_get_a_second_place_because_a_column_of_its_old_partition_is_rotten(lake):
    assert lake.run([on(15, "o_1"), on(15, "o_2"), on(16, "o_3")], SETTLED)
    rot_column(lake.root / f"normalized/date={JAN_15}/orders.parquet", "amount")
    moved = [on(15, "o_2"), on(16, "o_1", amount=12), on(16, "o_3")]
    assert lake.run_date(NormalizeOrders, JAN_16, moved, LATER, force=True)
    for hour in (2, 3):
        assert not lake.run_date(WriteFactOrder, JAN_16, None, SETTLED + hour * HOUR)
        assert ids(lake)[JAN_16] == ["o_3"]
    assert lake.run(None, SETTLED + 4 * HOUR, force=True), lake.errors
    assert ids(lake) == {JAN_15: ["o_2"], JAN_16: ["o_1", "o_3"]}


@deep("files that are garbage")
def test_order_items_are_not_copied_from_a_file_that_cannot_be_read(lake):
    assert lake.run([on(15, "o_1")], SETTLED)
    rot_column(lake.root / f"normalized/date={JAN_15}/items.parquet", "qty")
    (lake.root / f"curated/date={JAN_15}/order_items.parquet").unlink()
    assert not lake.run_date(WriteOrderItems, JAN_15, None, LATER)
    assert lake.run(None, LATEST), lake.errors
    assert ids(lake, "order_items") == {JAN_15: ["o_1"]}


def test_a_date_counts_as_written_while_another_one_that_it_shares_nothing_with_is_not_whole(moving):
    changed = [*MOVED, on(17, "o_4", amount=44)]
    assert moving.run_date(WriteFactOrder, JAN_17, changed, LATER, force=True), moving.errors
    with moving.configured():
        assert WriteFactOrder(date=("2025-01-17",), stamp=LATEST).complete()


@deep("files that are garbage")
def test_an_empty_folder_keeps_no_mark(lake):
    assert lake.run([on(15, "o_1")], SETTLED)
    (lake.root / "curated/date=2025-01-10").mkdir()
    assert lake.run([on(15, "o_1", amount=7)], LATER, force=True), lake.errors
    assert not (lake.root / "curated/_stale.json").exists()


UNCHECKED = ['{"dates": 5}', '{"dates": [["x"]]}', "[]"]


@pytest.mark.parametrize("content", some(UNCHECKED, UNCHECKED[:1], "shapes of a file"))
def test_a_list_of_unchecked_dates_of_another_shape_stops_nothing(lake, content):
    assert lake.run([on(15, "o_1")], SETTLED)
    (lake.root / "curated/_unchecked.json").write_text(content)
    assert lake.run(None, LATER), lake.errors


def test_a_copy_of_another_dates_normalized_folder_stops_no_other_date(lake: LakeUnderTest) -> None:
    assert lake.run([on(14, "o_1"), on(15, "o_2"), on(15, "o_3")], SETTLED)
    # o_3 moves, so the 15th loses an order
    moved = [on(14, "o_1", amount=12), on(14, "o_3", updated_at="2025-01-16T00:00:00Z"), on(15, "o_2")]
    shutil.copytree(lake.root / "normalized/date=2025-01-15", lake.root / "normalized/date=2025-01-16")
    assert lake.run_date(WriteFactOrder, JAN_14, moved, LATER, force=True), lake.errors
    assert ids(lake) == {JAN_14: ["o_1", "o_3"], JAN_15: ["o_2"]}
    assert lake.run(None, LATEST, force=True), lake.errors
    assert ids(lake) == {JAN_14: ["o_1", "o_3"], JAN_15: ["o_2"], JAN_16: []}


@deep("files that are garbage")
def test_a_date_whose_normalizing_was_killed_is_no_breach_of_the_counts_of_other_runs(lake: LakeUnderTest) -> None:
    lines = [on(15, "o_1"), on(16, "o_2")]
    assert lake.run(lines, SETTLED)
    (lake.root / "curated/_unchecked.json").write_text('{"dates": ["2025-01-15"]}')
    interrupt_normalizing(lake, JAN_15)
    assert lake.run([on(15, "o_1"), on(16, "o_2", amount=12)], LATER, dt.datetime(2025, 1, 16), force=True), lake.errors
