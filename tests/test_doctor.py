"""python -m pipeline doctor: each fault of a lake is found and told with a command, and that command heals it."""

import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Said, pipeline, shell
from feeds import order
from lake import LakeUnderTest

from pipeline.contract import FACT_ORDER
from pipeline.engine import check_names
from pipeline.parquet import write_table

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
def sound(tmp_path_factory: pytest.TempPathFactory) -> LakeUnderTest:
    """A lake of three orders on three dates, in which nothing is wrong."""
    lake = LakeUnderTest(tmp_path_factory.mktemp("sound"))
    assert lake.run(SENT, AS_OF), lake.errors
    return lake


@pytest.fixture
def built(sound: LakeUnderTest, lake: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> LakeUnderTest:
    """A copy of that lake, its dump and its warehouse."""
    shutil.copytree(sound.root, lake.root)
    shutil.copy2(sound.dump, lake.dump)
    shutil.copy(sound.warehouse, lake.warehouse)
    assert pipeline(capsys, "views", *lake.options()).code == 0
    return lake


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
        manifest["counts"]["rows"] = pq.read_metadata(root / name).num_rows
        path.write_text(json.dumps(manifest))


def moved_without_leaving(root: Path) -> None:
    """The order of the 17th is in the 16th as well."""
    source, target = (f"curated/date=2025-01-{day}/fact_order.parquet" for day in (17, 16))
    rows = [row | {"date": dt.date(2025, 1, 16)} for row in pq.read_table(root / source).to_pylist()]
    rows = pq.read_table(root / target, partitioning=None).to_pylist() + rows
    write_table(FACT_ORDER, pa.Table.from_pylist(rows, FACT_ORDER.schema), str(root / target))
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
    "undated_other_bytes": (zeroed(UNDATED_RAW), "error", "undated", "its bytes are not those"),
    "undated_quarantine_broken": (zeroed(UNDATED_DISCARDS), "error", "undated", "cannot be read"),
    "normalized_gone": (gone(ORDERS), "error", "normalized", "a file is gone"),
    "normalized_broken": (zeroed(ITEMS), "error", "normalized", "cannot be read"),
    "normalized_all_gone": (gone(ORDERS, ITEMS), "error", "normalized", "a file is gone"),
    "normalized_manifest_gone": (gone(ORDERS.replace("orders.parquet", "_normalized.json")), "error", "normalized", ""),
    "quarantine_gone": (gone(DISCARDS), "error", "normalized", "a file is gone"),
    "quarantine_broken": (zeroed(DISCARDS), "error", "normalized", "cannot be read"),
    "fact_order_gone": (gone(FACTS), "error", "fact_order", "a file is gone"),
    "fact_order_cut": (cut(FACTS), "error", "fact_order", "another size"),
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
    "warehouse_gone": (gone("../warehouse.db"), "warning", "warehouse", "not there"),
    "warehouse_broken": (written("../warehouse.db", "not one"), "error", "warehouse", "expected a DuckDB file"),
    "warehouse_building": (written("../warehouse.db.building"), "warning", "leftovers", "was not finished"),
    "views_dropped": (dropped_views, "error", "warehouse", "5 view(s) do not answer"),
    "views_outdated": (changed("curated/_warehouse.json", views="x"), "warning", "warehouse", "views as of before"),
}


def test_of_a_sound_lake_everything_is_ok(examined, built):
    before = everything(built.root.parent)
    said = examined()
    assert (said.code, said.err) == (0, "")
    assert told(said, "warning") == told(said, "error") == []
    subjects = {line.split()[0] for line in told(said, "ok")}
    assert subjects == {"versions", "luigi.cfg", "folders", "disk", "source", "scheduler", "dimensions"} | {
        "manifests", "contents", "checks", "strays", "leftovers", "warehouse"
    }  # fmt: skip
    assert said.out.splitlines()[-1] == f"{len(told(said, 'ok'))} ok, 0 warning(s), 0 error(s)"
    assert everything(built.root.parent) == before


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_finding_whose_command_heals_it(fault, examined, built, sound, capsys):
    harm, level, subject, text = FAULTS[fault]
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
    assert built.files() == sound.files()
