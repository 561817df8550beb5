"""python -m pipeline doctor finds each fault of a lake, and the command that it names mends the fault."""

import datetime as dt
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api import scripted
from commands import Said, pipeline, shell
from depth import some
from feeds import order
from lake import DATA_FILE, LakeUnderTest
from luigi.configuration import LuigiConfigParser
from processes import DEADLINE_SECONDS, REPOSITORY, finished
from processes import command as run_command

from pipeline.commands.doctor.disk import space
from pipeline.commands.doctor.settings import settings
from pipeline.contract import FACT_ORDER
from pipeline.engine.connection import Engine, check_names
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import parquet_of
from pipeline.observe.diagnosis import Diagnosis, show
from pipeline.tasks.base import open_engine

SECRET = "s3cret-of-the-shop"
AS_OF = dt.datetime(2025, 1, 20, 12)
# o_2 moves to the 16th; one record of the 15th and one without a date are discarded
SENT = [
    order("o_1"),
    order("o_2"),
    order(None),
    order("o_2", created_at="2025-01-16", updated_at="2025-01-17"),
    order("o_3", created_at="2025-01-17"),
    b'{"order_id": "o_4"}',
]
UNDATED = "date=__HIVE_DEFAULT_PARTITION__"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[LakeUnderTest, Path]:
    """A lake of three orders on three dates, in which nothing is wrong, and a copy of its folder."""
    folder = tmp_path_factory.mktemp("sound")
    lake = LakeUnderTest(folder / "shop")
    assert lake.run(SENT, AS_OF), lake.errors
    shutil.copytree(folder / "shop", folder / "copy")
    return lake, folder / "copy"


@pytest.fixture
def built(kept: tuple[LakeUnderTest, Path]) -> LakeUnderTest:
    """That lake, as it was; at the same path, since the views name it."""
    lake, copy = kept
    shutil.rmtree(lake.root.parent)
    shutil.copytree(copy, lake.root.parent)
    return LakeUnderTest(lake.root.parent)


@pytest.fixture
def examined(built: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs doctor on that lake."""
    return lambda *options: pipeline(capsys, "doctor", *built.options(), *options)


def told(said: Said, level: str) -> list[str]:
    """The findings of a level, without it."""
    return [line[9:] for line in said.out.splitlines() if line.startswith(f"{level:<9}")]


def command(finding: str) -> str:
    """The command that a finding names."""
    found = re.search(r"; mend[^:]*: (.*?)(?: \(|, or |, which |$)", finding)
    assert found is not None, finding
    return found[1]


# ---- faults: what was done to the lake, and what is told ---------------------------------------------------------


def gone(*names: str) -> Callable[[Path], None]:
    return lambda root: [os.unlink(root / name) for name in names] and None


def cut(name: str) -> Callable[[Path], None]:
    return lambda root: os.truncate(root / name, 10)


def zeroed(name: str) -> Callable[[Path], None]:
    """Other bytes, but as many."""
    return lambda root: (root / name).write_bytes(bytes((root / name).stat().st_size)) and None


def overwritten(name: str) -> Callable[[Path], None]:
    """Other bytes behind the first 16 KB, but as many."""

    def overwrite(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[:16_384] + b"\xa5" * (len(content) - 16_384))

    return overwrite


def changed(name: str, **fields: object) -> Callable[[Path], None]:
    """A manifest with other fields."""
    return lambda root: (root / name).write_text(json.dumps(json.loads((root / name).read_text()) | fields)) and None


def written(name: str, text: str = "{") -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

    return write


def copied(source: str, target: str) -> Callable[[Path], None]:
    """A file or a folder once more; the manifest beside it, if there is one, has the size of the copy."""

    def copy(root: Path) -> None:
        if (root / source).is_dir():
            shutil.copytree(root / source, root / target)
            return
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / source, root / target)
        believed(root, target)

    return copy


def believed(root: Path, name: str) -> None:
    """Make the manifest of a curated table say what its file holds now."""
    path = (root / name).parent / f"_{Path(name).stem}.json"
    if path.exists():
        manifest = json.loads(path.read_text())
        manifest["files"][name] = (root / name).stat().st_size
        manifest["hashes"][name] = hashlib.sha256((root / name).read_bytes()).hexdigest()
        manifest["counts"]["rows"] = pq.read_metadata(root / name).num_rows
        path.write_text(json.dumps(manifest))


def moved_without_leaving(root: Path) -> None:
    """The order of the 17th is in the 16th as well."""
    source, target = (f"curated/date=2025-01-{day}/fact_order.parquet" for day in (17, 16))
    rows = [row | {"date": dt.date(2025, 1, 16)} for row in pq.read_table(root / source).to_pylist()]
    rows = pq.read_table(root / target, partitioning=None).to_pylist() + rows
    (root / target).write_bytes(parquet_of(FACT_ORDER, pa.Table.from_pylist(rows, FACT_ORDER.schema)))
    believed(root, target)


def dropped_views(root: Path) -> None:
    with duckdb.connect(root / "../warehouse.db") as connection:
        for name in ("fact_order", "order_items", "orders", "dim_user", "dim_product"):
            connection.execute(f"DROP VIEW {name}")


RAW, RAW_MANIFEST = "raw/date=2025-01-15/orders_raw.json", "raw/date=2025-01-15/_raw.json"
UNDATED_RAW, UNDATED_DISCARDS = f"raw/{UNDATED}/orders_raw.json", f"quarantine/{UNDATED}/orders.parquet"
ORDERS, ITEMS = "normalized/date=2025-01-16/orders.parquet", "normalized/date=2025-01-16/items.parquet"
DISCARDS = "quarantine/date=2025-01-15/orders.parquet"
FACTS, FACTS_MANIFEST = "curated/date=2025-01-17/fact_order.parquet", "curated/date=2025-01-17/_fact_order.json"
LINES, LINES_MANIFEST = "curated/date=2025-01-17/order_items.parquet", "curated/date=2025-01-17/_order_items.json"
OTHER_FACTS = "curated/date=2025-01-16/fact_order.parquet"

FAULTS = {
    "raw_gone": (gone(RAW), "error", "raw", "a file is gone"),
    "raw_cut": (cut(RAW), "error", "raw", "another size"),
    "raw_other_bytes": (zeroed(RAW), "error", "raw", "its bytes are not those that were landed"),
    "raw_manifest_gone": (gone(RAW_MANIFEST), "error", "raw", "its manifest is gone"),
    "raw_manifest_broken": (written(RAW_MANIFEST), "error", "raw", "its manifest cannot be read"),
    "undated_gone": (gone(UNDATED_RAW), "error", "undated", "is gone"),
    "undated_not_named": (copied(RAW_MANIFEST, f"raw/{UNDATED}/_raw.json"), "error", "undated", "is gone"),
    "undated_other_bytes": (zeroed(UNDATED_RAW), "error", "undated", "its bytes are not those"),
    "undated_quarantine_broken": (zeroed(UNDATED_DISCARDS), "error", "undated", "cannot be read"),
    "normalized_gone": (gone(ORDERS), "error", "normalized", "a file is gone"),
    "normalized_broken": (zeroed(ITEMS), "error", "normalized", "cannot be read"),
    "normalized_manifest_gone": (gone(ORDERS.replace("orders.parquet", "_normalized.json")), "error", "normalized", ""),
    "quarantine_gone": (gone(DISCARDS), "error", "normalized", "a file is gone"),
    "quarantine_broken": (zeroed(DISCARDS), "error", "normalized", "cannot be read"),
    "fact_order_gone": (gone(FACTS), "error", "fact_order", "a file is gone"),
    "fact_order_broken": (zeroed(FACTS), "error", "fact_order", "cannot be read"),
    "fact_order_manifest_gone": (gone(FACTS_MANIFEST), "error", "fact_order", "its manifest is gone"),
    "fact_order_cut_off": (changed(FACTS_MANIFEST, id=None), "warning", "fact_order", "a run was cut off"),
    "fact_order_behind": (changed(FACTS_MANIFEST, made_from="x"), "warning", "fact_order", "behind"),
    "order_items_gone": (gone(LINES), "error", "order_items", "a file is gone"),
    "order_items_broken": (zeroed(LINES), "error", "order_items", "cannot be read"),
    "order_items_not_built": (gone(LINES, LINES_MANIFEST), "warning", "order_items", "not built yet"),
    "an_order_twice": (moved_without_leaving, "error", "order_id_in_one_partition", "'o_3'"),
    "the_wrong_date": (copied(FACTS, OTHER_FACTS), "error", "file_date_is_folder_date", "date=2025-01-16"),
    "moving_not_finished": (written("curated/_stale.json", "{}"), "warning", "curated", "orders have moved"),
    "a_date_nobody_made": (copied(FACTS, FACTS.replace("-01-17", "-02-01")), "error", "strays", "but every reader"),
    "a_folder_copied": (copied("curated/date=2025-01-15", "curated/date=2025-02-30"), "error", "strays", "02-30: "),
    "a_stray": (written("normalized/date=2025-01-15/my notes.csv"), "warning", "strays", "my notes.csv"),
    "a_stray_in_a_layer": (written("curated/fact_order.csv"), "warning", "strays", "curated: fact_order.csv"),
    "staging": (written(".staging/duckdb/x", "12345"), "warning", "leftovers", ".staging: 5 bytes"),
    "windows": (written(".windows/2025-01-15/records", "12345"), "warning", "leftovers", ".windows: 5 bytes"),
    "dimension_gone": (gone("curated/dim_user.parquet"), "error", "dimensions", "is gone or has another size"),
    "dimension_garbage": (zeroed("curated/dim_user.parquet"), "error", "dimensions", "dim_user.parquet cannot be read"),
    "dimensions_unreadable": (zeroed("curated/_dims.json"), "error", "dimensions", "_dims.json: it cannot be read"),
    "dimensions_not_named": (gone("curated/_dims.json"), "error", "dimensions", "_dims.json: it cannot be read, or"),
    "warehouse_garbage": (overwritten("../warehouse.db"), "error", "warehouse", "expected a DuckDB file"),
    "warehouse_gone": (gone("../warehouse.db"), "warning", "warehouse", "not there"),
    "warehouse_broken": (written("../warehouse.db", "not one"), "error", "warehouse", "expected a DuckDB file"),
    "warehouse_building": (written("../warehouse.db.building"), "warning", "leftovers", "was not finished"),
    "warehouse_log": (written("../warehouse.db.building.wal"), "warning", "leftovers", "warehouse.db.building.wal"),
    "warehouse_spilled": (written("../warehouse.db.building.tmp/x"), "warning", "leftovers", "was not finished"),
    "views_dropped": (dropped_views, "error", "warehouse", "5 view(s) do not answer"),
    "views_outdated": (changed("curated/_warehouse.json", views="x"), "warning", "warehouse", "views are out of date"),
}


def test_of_a_sound_lake_everything_is_ok(examined, built):
    before = everything(built.root.parent)
    said = examined()
    assert (said.code, said.err) == (0, "")
    assert told(said, "warning") == told(said, "error") == []
    subjects = {line.split()[0] for line in told(said, "ok")}
    assert subjects == {"versions", "luigi.cfg", "folders", "disk", "source", "scheduler", "dimensions"} | {
        "manifests", "contents", "checks", "strays", "leftovers", "fields", "warehouse"
    }  # fmt: skip
    assert said.out.splitlines()[-1] == f"{len(told(said, 'ok'))} ok, 0 warning(s), 0 error(s)"
    assert everything(built.root.parent) == before


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


# one of each layer, of each kind of harm and of each command that heals
TYPICAL = [
    *("raw_cut", "undated_gone", "normalized_broken", "quarantine_gone", "fact_order_gone", "fact_order_behind"),
    *("an_order_twice", "a_date_nobody_made", "windows", "dimension_gone", "warehouse_broken", "views_dropped"),
    "dimensions_unreadable",
]


@pytest.mark.parametrize("fault", some(FAULTS, TYPICAL, "faults that doctor finds"))
def test_a_fault_is_one_finding_whose_command_heals_it(fault, examined, built, capsys):
    harm, level, subject, text = FAULTS[fault]
    sound = built.files()
    harm(built.root)
    said = examined()
    found = told(said, "warning") + told(said, "error")
    # several checks may notice the same rows
    (finding,) = [line for line in found if line.split()[0] not in set(check_names()) - {subject}]
    assert said.code == (level == "error")
    assert finding in told(said, level)
    assert finding.split()[0] == subject
    assert text in finding
    shell(capsys, command(finding))
    said = examined()
    assert told(said, "warning") + told(said, "error") == []
    assert built.files() == sound


# ---- a run that is at work ---------------------------------------------------------------------------------------


def test_while_a_run_publishes_its_work_is_no_damage(examined, built):
    with Lake(built.root).work.locked():
        said = examined()
        assert (said.code, told(said, "error"), told(said, "warning")) == (0, [], [])
        assert "a run is at work on the lake: it publishes" in said.out
        gone(RAW, FACTS)(built.root)
        said = examined()
    assert (said.code, told(said, "error")) == (0, [])
    (finding,) = told(said, "warning")
    assert "a run is at work on the lake: 2 finding(s) may be its work; mend: run doctor again when" in finding
    assert len(told(examined(), "error")) == 2


def test_what_is_found_while_a_run_comes_and_goes_is_not_believed(examined, built, monkeypatch):
    """The run is done before doctor is, so that no lock is held when it looks."""
    gone(FACTS)(built.root)

    def meanwhile(temp_directory: str | None = None) -> Engine:
        with Lake(built.root).work.locked():
            return open_engine(temp_directory)

    monkeypatch.setattr("pipeline.commands.doctor.open_engine", meanwhile)
    said = examined()
    assert (said.code, told(said, "error")) == (0, [])
    assert "1 finding(s) may be its work" in said.out


def test_while_a_run_asks_the_api_its_pages_are_no_leftovers_but_damage_is_told(examined, built):
    written(".windows/2025-01-15/records")(built.root)
    with Lake(built.root).work.extracting():
        assert told(examined(), "warning") == []
        gone(FACTS)(built.root)
        said = examined()
    assert "a run is at work on the lake: it asks the API" in said.out
    assert [finding.split()[0] for finding in told(said, "error")] == ["fact_order"]


def test_a_task_of_a_date_leaves_a_spool_that_is_no_fault(examined, built):
    written(".spool/x/records", "123")(built.root)
    said = examined()
    assert said.code == 0
    assert ".spool: 3 bytes of a dump, split by date; python -m pipeline" in said.out


# ---- one finding for many dates ----------------------------------------------------------------------------------


def test_the_same_fault_of_several_dates_is_one_finding_with_one_command(examined, built, capsys):
    sound = built.files()
    gone(*(f"curated/date=2025-01-{day}/order_items.parquet" for day in (15, 16)))(built.root)
    (finding,) = told(examined(), "error")
    assert "2 date(s), 2025-01-15..2025-01-16; mend: luigi --module pipeline WriteOrderItems --date" in finding
    shell(capsys, command(finding))
    assert built.files() == sound


def test_quick_reads_no_data_and_still_finds_what_is_gone(examined, built):
    zeroed(RAW)(built.root)
    zeroed(FACTS)(built.root)
    said = examined("--quick")
    assert (said.code, told(said, "error")) == (0, [])
    assert "not read, as --quick says" in said.out
    gone(FACTS)(built.root)
    assert [finding.split()[0] for finding in told(examined("--quick"), "error")] == ["fact_order"]


# ---- without a lake, folders, disk -------------------------------------------------------------------------------


def test_before_the_first_run_nothing_is_wrong_and_nothing_is_made(lake, capsys):
    lake.offer(SENT)
    before = everything(lake.root.parent)
    said = pipeline(capsys, "doctor", *lake.options())
    assert (said.code, told(said, "error"), told(said, "warning")) == (0, [], [])
    assert "nothing is landed yet" in said.out
    assert everything(lake.root.parent) == before


def test_a_root_that_cannot_be_a_folder_is_an_error_that_names_the_setting(examined):
    said = examined("--storage-root", "/dev/null/lake")
    (finding,) = [line for line in told(said, "error") if not line.startswith("warehouse")]
    assert "[storage] root = /dev/null/lake: /dev/null is not a folder" in finding


@pytest.mark.parametrize(
    ("free", "need", "level"), [(99, 100, "error"), (199, 100, "warning"), (49, 10, "warning"), (500, 10, "ok")]
)
def test_a_disk_is_full_below_what_a_run_needs_and_low_below_twice_that_or_a_twentieth(free, need, level):
    assert space("/srv", (1000, 1000 - free, free), need).level == level


def test_the_next_run_needs_as_much_as_the_largest_date_the_dump_and_the_warehouse_have(examined, built):
    published = [name for name in built.names(DATA_FILE) if "date=2025-01-15" in name and not name.endswith(".keys")]
    largest = sum((built.root / name).stat().st_size for name in published)
    need = largest + built.dump.stat().st_size + built.warehouse.stat().st_size
    assert f"a run may need {need:,}" in examined().out


# ---- settings ----------------------------------------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Diagnosis]]:
    """What is found in a luigi.cfg with this text."""

    def configured(text: str) -> list[Diagnosis]:
        (tmp_path / "luigi.cfg").write_text(text)
        monkeypatch.setattr(LuigiConfigParser, "_config_paths", [str(tmp_path / "luigi.cfg")])
        return [diagnosis for diagnosis in settings() if diagnosis.level != "ok"]

    return configured


@pytest.mark.parametrize(
    ("text", "what", "right"),
    [
        ("[orders_api]\nsetle_hours = 6", "[orders_api] setle_hours is no setting", "write [orders_api] settle_hours"),
        ("[storage]\nfolder = /secret", "[storage] folder is no setting", "remove the line"),
        ("[order_api]\nurl = x", "[order_api] is no setting", "write [orders_api]"),
        ("[orders_fields]\nitem.sku = $.x", "[orders_fields] item.sku is no", "write [orders_fields] items.sku"),
        ("[engine]\nThreads = 2", "[engine] Threads is no setting", "write [engine] threads"),
    ],
)
def test_a_setting_that_nobody_reads_is_an_error_that_names_the_one_that_was_meant(configured, text, what, right):
    (found,) = configured(text)
    assert (found.level, found.subject) == ("error", "luigi.cfg")
    assert what in found.found
    assert right in found.mend
    assert text.split(" = ")[1] not in found.found.split(": ")[1]


def test_luigis_own_sections_and_every_key_of_ours_are_settings(configured):
    every_key = re.sub(r"^# ([\w.]+ =)", r"\1", (REPOSITORY / "luigi.cfg").read_text(), flags=re.M)
    found = configured(every_key)
    assert [finding.found for finding in found if "is no setting" in finding.found] == []
    assert configured("[worker]\nkeep_alive = true\n[resources]\ngpu = 1\n[my_own]\nx = 1") == []


def test_values_that_cannot_be_used_are_errors_of_their_sections_and_the_rest_is_looked_at(examined):
    said = examined("--orders-api-settle-hours", "soon", "--run-dates-per-task", "x")
    assert said.code == 1
    assert [finding.split()[0] for finding in told(said, "error")] == ["luigi.cfg", "luigi.cfg"]
    assert "settle-hours soon: expected hours" in said.out
    assert "dates-per-task x: expected a whole number" in said.out
    assert "not examined: a setting that it needs cannot be used" in told(said, "warning")[0]
    assert [line for line in told(said, "ok") if line.startswith("manifests")]
    assert "Traceback" not in said.out + said.err


def test_a_standing_clock_is_a_warning(examined):
    (finding,) = told(examined("--run-as-of", "2025-01-21"), "warning")
    assert "[run] as_of = 2025-01-21T00:00:00Z: every run counts as that moment" in finding


def test_the_real_command_reads_the_file_of_luigi_config_path_and_never_tells_a_value(built, tmp_path):
    (tmp_path / "more.cfg").write_text(f"[orders_api]\nsecret_token = {SECRET}\n[retcode]\ntask_failed = 0\n")
    words = [sys.executable, "-m", "pipeline", "doctor", *built.options()]
    for path, text in {
        "more.cfg": "more.cfg: [orders_api] secret_token is no setting",
        "none.cfg": "LUIGI_CONFIG_PATH = none.cfg: no such file",
    }.items():
        done = subprocess.run(
            words, cwd=tmp_path, env=os.environ | {"LUIGI_CONFIG_PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert text in done.stdout
        assert "[retcode] task_failed is 0 or not set" in done.stdout
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


# ---- the source --------------------------------------------------------------------------------------------------

LISTED = b'{"orders": [{"order_id": "o_1", "created_at": "2025-01-21T10:00:00Z"}], "total": 1}'


@pytest.fixture
def of_api(examined: Callable[..., Said]) -> Callable[..., list[str]]:
    """What is found of an API that answers so, by a doctor of the 21st; the levels are kept."""

    def of_api(url: str, *options: str) -> list[str]:
        said = examined("--orders-api-url", url, "--run-as-of", "2025-01-21T12:00:00Z", *options)
        assert SECRET not in said.out + said.err
        return [line for line in said.out.splitlines() if line[9:].startswith("source ")]

    return of_api


def test_an_api_is_asked_for_one_page_of_the_newest_date(of_api):
    with scripted(lambda *_: (200, {}, LISTED)) as api:
        (finding,) = of_api(api.url)
    assert finding.startswith("ok")
    assert f"{api.url}: a page of 1 order(s) of 2025-01-21, auth = none" in finding
    ((_, params, _),) = api.requests
    assert (params["created_from"], params["created_until"]) == ("2025-01-21T00:00:00Z", "2025-01-22T00:00:00Z")


@pytest.mark.parametrize(
    ("status", "told"), [(401, "token_env"), (404, "check [orders_api] url"), (503, "status 503"), (500, "status 500")]
)
def test_an_api_that_refuses_is_asked_once_and_told_with_its_status_and_no_secret(of_api, monkeypatch, status, told):
    monkeypatch.setenv("ORDERS_API_TOKEN", SECRET)
    with scripted(lambda *_: (status, {}, f"\x1b[2J no {SECRET}".encode())) as api:
        (finding,) = of_api(api.url, "--orders-api-auth", "bearer")
    assert len(api.requests) == 1
    assert finding.startswith("error")
    assert f"status {status}" in finding
    assert told in finding
    assert "\x1b" not in finding


def test_a_secret_that_is_missing_is_an_error_that_names_its_variable(of_api, monkeypatch):
    monkeypatch.delenv("ORDERS_API_TOKEN", raising=False)
    (finding,) = of_api("http://127.0.0.1:9/orders", "--orders-api-auth", "bearer")
    assert finding.startswith("error")
    assert "environment variable ORDERS_API_TOKEN (token_env) is empty or not set" in finding


def test_an_api_that_is_not_there_is_an_error(of_api):
    (finding,) = of_api(f"http://127.0.0.1:{free_port()}/orders")
    assert finding.startswith("error")
    assert "no connection" in finding


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("order-id", "$.number", "missing_order_id"), ("created-at", "$.updated", "missing_created_at")],
)
def test_a_field_map_by_which_orders_would_be_discarded_is_a_warning(of_api, option, value, reason):
    with scripted(lambda *_: (200, {}, LISTED)) as api:
        (finding,) = of_api(api.url, f"--orders-fields-{option}", value)
    assert finding.startswith("warning")
    assert f"a run would discard 1 {reason}; mend: check [orders_fields]" in finding


def test_an_api_that_gives_orders_of_any_date_is_a_warning(of_api):
    with scripted(lambda *_: (200, {}, LISTED.replace(b"01-21", b"01-02"))) as api:
        (finding,) = of_api(api.url)
    assert finding.startswith("warning")
    assert "1 outside_window" in finding


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--orders-api-url", "nowhere.json"), "[orders_api] url = nowhere.json: No such file or directory"),
        (("--warehouse-users-csv", "nowhere.csv"), "[warehouse] users_csv = nowhere.csv: No such file or directory"),
    ],
)
def test_a_dump_or_a_csv_that_is_not_there_is_an_error(examined, options, text):
    (finding,) = told(examined(*options), "error")
    assert text in finding


# ---- the scheduler -----------------------------------------------------------------------------------------------


def of_scheduler(said: Said) -> str:
    (finding,) = [line for line in said.out.splitlines() if line[9:].startswith("scheduler ")]
    return finding


def test_a_scheduler_that_is_configured_and_does_not_answer_is_an_error_and_another_server_is_none(examined):
    port = str(free_port())
    said = examined("--scheduler-host", "127.0.0.1", "--scheduler-port", port)
    assert of_scheduler(said).startswith("error")
    assert f"http://127.0.0.1:{port}: no answer" in of_scheduler(said)
    assert f"mend: luigid --port {port}, or run with --local-scheduler" in of_scheduler(said)
    with scripted(lambda *_: (200, {}, b"<html>")) as server:
        said = examined("--scheduler-url", server.url)
    assert "another program than luigid answers" in of_scheduler(said)


def test_a_scheduler_that_is_not_needed_is_no_error(examined):
    port = str(free_port())
    said = examined("--scheduler-port", port, "--local-scheduler")
    assert (said.code, of_scheduler(said)[:2]) == (0, "ok")
    assert "inside each run" in of_scheduler(said)


def test_a_real_luigid_is_found_and_what_was_advised_starts_it(examined, tmp_path):
    port = str(free_port())
    advised = re.search(r"mend: (luigid .*?),", of_scheduler(examined("--scheduler-port", port)))
    assert advised is not None
    words = [*shlex.split(advised[1]), "--address", "127.0.0.1", "--state-path", str(tmp_path / "state")]
    server = run_command(*words)
    try:
        until_port_answers(int(port))
        assert of_scheduler(examined("--scheduler-port", port)).startswith("ok")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        finished(server)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def until_port_answers(port: int) -> None:
    end, asked = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end
        asked.wait(0.05)


# ---- how it looks ------------------------------------------------------------------------------------------------


def test_on_a_terminal_findings_are_wrapped_and_coloured_and_what_was_found_steers_nothing(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    show([Diagnosis("error", "strays", "[bold]\x1b[2J " + "x" * 80, "mend: rm x"), Diagnosis("ok", "disk", "fine")])
    said = capsys.readouterr().out
    assert "\x1b[1;31merror" in said
    assert "\x1b[32mok" in said
    assert r"[bold]\x1b[2J" in said
    assert "\x1b[2J" not in said
    assert all(len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= 60 for line in said.splitlines())
    assert said.splitlines()[-1] == "1 ok, 0 warning(s), 1 error(s)"


def test_fields_that_orders_lack_are_a_warning(examined, built):
    """Of all dates, as few of one need not matter."""
    lines = [order(f"o_{n}", created_at=f"2025-01-{15 + n % 4}T10:00:00Z", amount="much") for n in range(30)]
    assert built.run([*lines, order("o_30")], dt.datetime(2025, 2, 2), force=True, allow_shrink=True), built.errors
    (finding,) = told(examined(), "warning")
    assert "fields" in finding
    assert "amount: 30 of 31 orders have one that cannot be read" in finding
