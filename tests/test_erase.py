"""Erasing a user leaves the lake as a source without this user would have made it."""

import datetime as dt
import json
import tempfile
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import reference as ref
from api import QUICK, mock_api
from depth import deep, examples
from feeds import Raw, lines, order, records
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lake import UNDATED, LakeUnderTest

from pipeline.errors import BadSetting, CorruptPartition, NotLanded

SETTLED = [dt.datetime(2025, 2, day) for day in range(1, 10)]
DAY = dt.date(2025, 1, 15)
USER = "user-7f3a9c"
USERS = f"user_id,email,created_at,country\nu_1,ada@example.org,,DE\n{USER},secret@example.org,,FR\n,{USER},,\n"
THEIRS = [
    order("o_2", user_id=USER),
    order("o_3", user_id=USER, created_at="2025-01-16"),
    order(..., user_id=USER),  # no order_id: quarantined in its date
    order("o_4", user_id=USER, created_at=...),  # undated
    b'{"order_id": "o_5", "user_id": "%s", "created_at"' % USER.encode(),  # malformed
    order("o_6", user_id=Raw('"\\u0075ser-7f3a9c"')),
]
OTHERS = [order("o_1"), order("o_7", created_at="2025-01-16"), order("o_8", created_at=...), b"{malformed"]


@pytest.fixture
def erased(lake: LakeUnderTest) -> LakeUnderTest:
    """A lake from which the user was erased; the dump and users.csv have the user still."""
    lake.users_csv.write_text(USERS)
    assert lake.run([*OTHERS, *THEIRS], SETTLED[0])
    lake.erase(USER, SETTLED[1])
    return lake


def holding(lake: LakeUnderTest, text: str) -> list[str]:
    """The files of the lake, and the warehouse, with the text in their bytes or in their Parquet rows."""
    files = [path for path in lake.root.rglob("*") if path.is_file()]
    tables = {
        path: str(pq.read_table(path, partitioning=None).to_pylist()) for path in files if path.suffix == ".parquet"
    }
    found = [path for path in [*files, lake.warehouse] if text.encode() in path.read_bytes()]
    return sorted({path.name for path in [*found, *(path for path, rows in tables.items() if text in rows)]})


def test_afterwards_no_byte_of_the_lake_or_the_warehouse_names_the_user(erased):
    assert holding(erased, USER) == holding(erased, "secret@example.org") == []
    assert {len(rows) for rows in erased.raw().values()} == {1, 2}
    assert erased.litter() == []


@deep("erased users")
def test_the_country_that_only_the_user_has_leaves_the_report_and_its_cache(lake):
    lake.settings["report"] = {"after_each_run": "true"}
    lake.users_csv.write_text("user_id,email,created_at,country\nu_1,,,Germany\nu_2,,,Liechtenstein\n")
    assert lake.run([order("o_1", user_id="u_1"), order("o_2", user_id="u_2")], SETTLED[0])
    assert holding(lake, "Liechtenstein") == ["_report.json", "dim_user.parquet", "report.html", "warehouse.db"]
    lake.erase("u_2", SETTLED[1])
    assert holding(lake, "Liechtenstein") == []
    assert holding(lake, "Germany") == ["_report.json", "dim_user.parquet", "report.html", "warehouse.db"]


def test_a_run_over_a_date_whose_erasure_was_killed_names_the_command_that_goes_on(lake):
    assert lake.run([order("o_1", user_id="u_1"), order("o_2", user_id=USER)], SETTLED[0])
    path = lake.root / f"raw/date={DAY}/_raw.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"id": None, "erasing": manifest["id"]}))
    assert not lake.run([order("o_1", user_id="u_1")], SETTLED[1])
    assert "an `erase` was interrupted on this date; run the same command again" in lake.errors[0]
    lake.erase(USER, SETTLED[2])
    assert holding(lake, USER) == []
    assert lake.run(None, SETTLED[3]), lake.errors


def test_before_the_user_was_in_every_layer(lake):
    lake.users_csv.write_text(USERS)
    assert lake.run([*OTHERS, *THEIRS], SETTLED[0])
    names = {"orders_raw.json", "orders.parquet", "fact_order.parquet", "dim_user.parquet", "warehouse.db"}
    assert set(holding(lake, USER)) == names


def test_what_is_left_is_counted_and_an_unchanged_source_does_not_bring_the_user_back(erased):
    assert erased.run(None, SETTLED[2]), erased.errors
    assert holding(erased, USER) == []
    summary = erased.summary(SETTLED[2])
    assert {date: counts["extracted"] for date, counts in summary["dates"].items()} == {
        "2025-01-15": 1,
        "2025-01-16": 1,
    }
    assert summary["undated"]["discarded"] == {"missing_created_at": 1, "malformed_json": 1}
    assert summary["settled_dates_that_differ"] == ["2025-01-15", "2025-01-16"]


@deep("erased users")
def test_a_forced_run_over_a_source_that_has_the_user_brings_the_user_back(erased):
    assert erased.run(None, SETTLED[2], force=True), erased.errors
    assert USER in {row[1] for row in erased.normalized("orders")[DAY]}
    assert len(erased.raw()[UNDATED]) == 4


def test_without_yes_it_says_how_much_there_is_and_who_would_bring_it_back_and_writes_nothing(lake, capsys):
    lake.users_csv.write_text(USERS)
    assert lake.run([*OTHERS, *THEIRS], SETTLED[0])
    files, written = lake.files(), lake.written()
    capsys.readouterr()
    lake.erase(USER, SETTLED[1], really=False)
    assert capsys.readouterr().out.splitlines() == [
        "2025-01-15  3 record(s) in raw, 2 in orders, 4 row(s) of fact_order, 1 in quarantine",
        "2025-01-16  1 record(s) in raw, 1 in orders, 2 row(s) of fact_order, 0 in quarantine",
        "undated     2 record(s) in raw, 0 in orders, 0 row(s) of fact_order, 2 in quarantine",
        "users       a row of dim_user and of the warehouse",
        f"{lake.dump}: still has 6 record(s) of the user; remove them from the dump, or they come back: "
        "with open dates, with --force, and undated records when the dump changes",
        f"{lake.users_csv}: still has the user; remove the row, or the next change of the file brings it back",
        "nothing was erased; add --yes to erase it",
    ]
    assert (lake.files(), lake.written()) == (files, written)


@deep("erased users")
def test_erasing_again_finds_nothing_and_changes_no_file_of_the_lake(erased, capsys):
    erased.offer(OTHERS)
    erased.users_csv.write_text("user_id,email,created_at,country\nu_1,ada@example.org,,DE\n")
    written = erased.written()
    capsys.readouterr()
    erased.erase(USER, SETTLED[2])
    assert capsys.readouterr().out == "nothing of this user is in the lake\n"
    assert erased.written() == written


def test_an_integer_in_the_json_is_the_user_of_these_digits(lake):
    assert lake.run([order("o_1", user_id=42), order("o_2", user_id="42"), order("o_3", user_id=421)], SETTLED[0])
    lake.erase("42", SETTLED[1])
    assert [row[:2] for row in lake.normalized("orders")[DAY]] == [("o_3", "421")]


def test_an_order_that_another_user_had_before_comes_back_as_theirs(lake):
    taken_over = order("o_1", user_id=USER, created_at="2025-01-16", updated_at="2025-01-17")
    assert lake.run([order("o_1", user_id="u_1"), taken_over], SETTLED[0])
    lake.erase(USER, SETTLED[1])
    assert {row[1] for row in lake.curated("fact_order")[DAY]} == {"u_1"}


def test_a_record_of_another_user_that_names_this_one_stays_and_is_told(lake, capsys):
    assert lake.run([order("o_1", metadata={"referred_by": USER})], SETTLED[0])
    capsys.readouterr()
    lake.erase(USER, SETTLED[1])
    assert "1 record(s) of others have the same text in another field" in capsys.readouterr().out
    assert len(lake.raw()["2025-01-15"]) == 1


def test_tables_and_views_of_ones_own_in_the_warehouse_survive(lake):
    assert lake.run(OTHERS, SETTLED[0])
    with duckdb.connect(str(lake.warehouse)) as warehouse:
        warehouse.execute("CREATE TABLE mine AS SELECT 7 AS n")
        warehouse.execute("CREATE VIEW big AS SELECT n FROM mine WHERE n > 5")
    lake.erase(USER, SETTLED[1])
    with duckdb.connect(str(lake.warehouse), read_only=True) as warehouse:
        assert warehouse.execute("SELECT n FROM big").fetchall() == [(7,)]
        assert warehouse.execute("SELECT count(DISTINCT order_id) FROM fact_order").fetchall() == [(2,)]
        assert warehouse.execute("SELECT user_id FROM users").fetchall() == [("u_1",)]


@deep("erased users")
def test_a_shops_record_is_the_users_by_the_map_that_it_was_landed_with(lake, tmp_path):
    (tmp_path / "served.json").write_bytes(
        b"[" + b",".join([order("11", user_id="77"), order("12", user_id="8")]) + b"]"
    )
    with mock_api(tmp_path / "served.json", style="woocommerce") as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "preset": "woocommerce", "auth": "none"}
        assert lake.run(None, SETTLED[0], since=dt.datetime(2025, 1, 15), until=dt.datetime(2025, 1, 16)), lake.errors
        assert {row[1] for row in lake.normalized("orders")[DAY]} == {"77", "8"}
        spool = lake.root / ".windows" / "2025-01-15"
        spool.mkdir(parents=True)
        (spool / "records").write_text('{"customer_id": 77}\n')
    lake.settings["orders_api"] |= {"url": lake.dump, "preset": "plain"}
    lake.offer([])
    lake.erase("77", SETTLED[1])
    assert {row[1] for row in lake.normalized("orders")[DAY]} == {"8"}
    assert lake.litter() == []


@deep("erased users")
def test_a_source_that_cannot_be_read_is_told_and_stops_nothing(lake, capsys):
    assert lake.run([*OTHERS, *THEIRS], SETTLED[0])
    lake.dump.unlink()
    lake.users_csv.unlink()
    lake.erase(USER, SETTLED[1])
    assert capsys.readouterr().out.count("so it is not known whether this source still has the user") == 2
    assert holding(lake, USER) == []


def test_a_date_whose_raw_file_is_lost_is_refused_before_anything_is_erased(lake):
    assert lake.run([*OTHERS, *THEIRS], SETTLED[0])
    (lake.root / "raw/date=2025-01-16/orders_raw.json").unlink()
    written = lake.written()
    with pytest.raises(NotLanded, match="raw date=2025-01-16: not whole"):
        lake.erase(USER, SETTLED[1])
    assert lake.written() == written


def test_a_raw_file_that_was_changed_by_hand_is_refused_and_not_blessed(lake):
    assert lake.run([*OTHERS, *THEIRS], SETTLED[0])
    raw = lake.root / "raw/date=2025-01-16/orders_raw.json"
    raw.write_bytes(raw.read_bytes().replace(b"EUR", b"USD"))
    written = lake.written()
    with pytest.raises(CorruptPartition, match="its bytes are not those that were landed"):
        lake.erase(USER, SETTLED[1])
    assert lake.written() == written


def test_a_blank_user_id_is_a_mistake(lake):
    with pytest.raises(BadSetting, match="--user-id: it is blank"):
        lake.erase(" ", SETTLED[0])


def is_theirs(line: bytes, user_id: str) -> bool:
    record = ref.parse(line)
    if isinstance(record, ref.Malformed):
        return any(json.dumps(user_id, ensure_ascii=ascii_only).encode() in line for ascii_only in (True, False))
    return ref.identifier(record.get("user_id")) == user_id


users = st.sampled_from(["u_1", "7", USER, 'a"b\\', "é"])
times = st.sampled_from(["2025-01-15", "2025-01-16T10:00Z", "2025-02-01T20:00Z", "2025-02-04"])
feeds = st.lists(
    st.builds(order, st.sampled_from(["o_1", "o_2", "o_3"]), user_id=users, created_at=times, updated_at=times)
    | lines(records(created_at=times))
    | st.builds(lambda user: b"{broken: " + json.dumps(user).encode(), users),
    max_size=10,
)


@settings(max_examples=examples(6))
@given(feed=feeds, user_id=users)
@example(feed=[order("o_1", updated_at="2025-02-04"), order("o_2", user_id=USER)], user_id=USER)
@example(feed=[*OTHERS, *THEIRS], user_id=USER)
def test_the_lake_is_then_what_a_source_without_the_user_would_have_made(feed, user_id):
    feed = [order("anchor", user_id="nobody"), *feed]
    as_of = dt.datetime(2025, 2, 2)
    with tempfile.TemporaryDirectory() as folder:
        lake, other = LakeUnderTest(Path(folder) / "lake"), LakeUnderTest(Path(folder) / "other")
        assert lake.run(feed, as_of)
        lake.erase(user_id, as_of + dt.timedelta(seconds=1))
        assert other.run([line for line in feed if not is_theirs(line, user_id)], as_of)
        assert {date: rows for date, rows in lake.raw().items() if rows} == other.raw()
        for date in other.raw():
            erased, expected = lake.manifest("raw", date), other.manifest("raw", date)
            assert (erased["id"], erased["counts"]) == (expected["id"], expected["counts"])
        assert lake.quarantine() == other.quarantine()
        dated = {name: content for name, content in other.files().items() if "date=2" in name}
        assert {name: lake.files()[name] for name in dated} == dated


@deep("erased users")
def test_an_undated_record_is_the_users_by_the_map_that_it_came_with(lake, tmp_path):
    lake.settings["orders_fields"] = {"order_id": "$.id", "user_id": "$.buyer"}
    theirs = json.dumps({"id": "o_1", "buyer": USER, "items": []}).encode()
    good = json.dumps({"id": "o_2", "buyer": "u_1", "created_at": "2025-01-15", "items": []}).encode()
    assert lake.run([good, theirs], SETTLED[0]), lake.errors
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere/dump.json"
    other.write_bytes(b"")
    lake.settings["orders_fields"], lake.settings["orders_api"]["url"] = {}, other
    lake.erase(USER, SETTLED[1])
    assert holding(lake, USER) == []


@deep("erased users")
def test_what_was_built_by_a_map_that_is_refused_now_is_made_anew_without_the_user(lake):
    """As a lake of before has it, whose raw manifests hold no verdict."""
    records = [order(f"o_{n}", amount=None, user_id=USER if n == 7 else "u_1") for n in range(25)]
    assert lake.run(records, SETTLED[0], accept_fields=True), lake.errors
    path = lake.root / f"raw/date={DAY}/_raw.json"
    manifest = json.loads(path.read_text())
    del manifest["judged"], manifest["accepts_fields"]
    path.write_text(json.dumps(manifest))
    lake.erase(USER, SETTLED[1])
    assert holding(lake, USER) == []
    assert len({row[0] for row in lake.curated("fact_order")[DAY]}) == 24
