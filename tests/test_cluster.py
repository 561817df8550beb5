"""Dates that the executors of a real Spark build: the bytes are those that this machine builds alone."""

import datetime as dt
import os
import pickle
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
import spark
from depth import by_depth, deep
from feeds import order
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from lake import LakeUnderTest
from processes import DEADLINE_SECONDS, finished
from spark import driver
from test_laws_stateful import LakeMachine

from pipeline.cluster import executor
from pipeline.cluster.spark import _reason
from pipeline.lake import Files
from pipeline.stages import curate, normalize
from pipeline.tasks import status

AS_OF = dt.datetime(2025, 2, 1)
LATER = AS_OF + dt.timedelta(hours=1)
DATES = [f"2025-01-{day}" for day in (15, 16, 17, 18)]
SENT = [order(f"o_{number}_{date}", created_at=date) for date in DATES for number in range(20)]
# o_0 of the first date moves to the last one, over the borders of pieces; two others swap dates
MOVED = [
    order(f"o_0_{DATES[0]}", created_at=DATES[3], updated_at="2025-01-20T00:00:00Z"),
    order(f"o_1_{DATES[1]}", created_at=DATES[2], updated_at="2025-01-20T00:00:00Z"),
    order(f"o_1_{DATES[2]}", created_at=DATES[1], updated_at="2025-01-20T00:00:00Z"),
]
NOBODY = "spark://127.0.0.1:9"
BAD = ("yarn", "spark://h", "spark://h:70777", "spark://:7077", "spark://a:1,b:2", "spark://h:1/;a=b", "local[0]")


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[spark.Standalone]:
    """A master and two workers. Runs in this process have executors connect to loopback, too."""
    with pytest.MonkeyPatch.context() as patch, spark.standalone(tmp_path_factory.mktemp("spark"), workers=2) as found:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield found


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each date is a piece."""
    monkeypatch.setattr(normalize, "PIECE_BYTES", 1)
    monkeypatch.setattr(curate, "PIECE_BYTES", 1)


@pytest.fixture
def alone(tmp_path: Path) -> LakeUnderTest:
    """The lake that this machine builds alone."""
    lake = LakeUnderTest(tmp_path / "alone")
    assert lake.run(SENT, AS_OF)
    assert lake.run([*SENT, *MOVED], LATER, force=True)
    return lake


@pytest.fixture
def shared(tmp_path: Path, standalone: spark.Standalone) -> LakeUnderTest:
    """An empty lake whose dates the cluster builds."""
    lake = LakeUnderTest(tmp_path / "shared")
    lake.settings["cluster"] = {"address": standalone.address}
    return lake


@pytest.fixture
def mark(standalone: spark.Standalone) -> Iterator[None]:
    """No executor has been anywhere yet; at the end one has."""
    yield
    standalone.mark.unlink()


on_spark = deep("dates that a cluster builds")

# The same bytes


@on_spark
@pytest.mark.usefixtures("mark")
def test_executors_normalize_and_curate_each_date_to_the_bytes_of_one_machine(shared, alone, standalone, monkeypatch):
    monkeypatch.setattr(normalize, "stage", spark.normalize_and_note)
    monkeypatch.setattr(curate, "stage", spark.curate_and_note)
    assert shared.run(SENT, AS_OF), shared.errors
    noted = sorted(standalone.mark.read_text().splitlines())
    assert noted == sorted(f"{what} {date}" for date in DATES for what in ("curated", "normalized"))
    assert shared.run([*SENT, *MOVED], LATER, force=True), shared.errors
    assert shared.files() == alone.files()


@on_spark
@pytest.mark.parametrize("way", ["local[2]", "sc"])
def test_local_executors_and_spark_connect_write_the_same_bytes(tmp_path, alone, way):
    spark.require_spark()
    lake = LakeUnderTest(tmp_path / "shared")
    with spark.connect(tmp_path) if way == "sc" else nullcontext(way) as address:
        for lines, as_of in ((SENT, AS_OF), ([*SENT, *MOVED], LATER)):
            lake.offer(lines)
            words = ("--cluster-address", address, "--run-as-of", as_of.isoformat(), "--force")
            code, said = finished(driver(lake, *words))
            assert code == 0, said
            assert f"event=cluster_opened address={address}" in said
    assert lake.files() == alone.files()


@on_spark
def test_luigi_is_told_how_many_pieces_are_done(shared, monkeypatch):
    told = []
    monkeypatch.setattr(status, "show_status", lambda _, message, *__: told.append(message))
    assert shared.run(SENT, AS_OF, dates_per_task=9), shared.errors
    assert "normalizing dates: 4 of 4; piece 4" in told


class ClusterMachine(LakeMachine):
    """Any history, with dates that the cluster builds."""

    address = ""

    def __init__(self) -> None:
        super().__init__()
        self.lake.settings["cluster"] = {"address": self.address}

    def run_all(self, since, until, flags, **how) -> None:
        super().run_all(since, until, flags, **how | {"workers": 1})


@on_spark
def test_the_laws_hold_for_any_history_of_a_lake_that_a_cluster_builds(standalone):
    ClusterMachine.address = standalone.address
    count = by_depth(few=0, all=10, night=200)
    run_state_machine_as_test(ClusterMachine, settings=settings(max_examples=count, stateful_step_count=8))


# Executors and drivers that die


@on_spark
@pytest.mark.usefixtures("mark")
@pytest.mark.parametrize("stage", [spark.stage_after_a_kill, spark.stage_twice])
def test_a_piece_that_is_staged_twice_is_published_once(shared, alone, monkeypatch, stage):
    monkeypatch.setattr(normalize, "stage", stage)
    assert shared.run(SENT, AS_OF), shared.errors
    monkeypatch.undo()
    assert shared.run([*SENT, *MOVED], LATER, force=True), shared.errors
    assert shared.files() == alone.files()
    assert shared.litter() == []


@on_spark
def test_a_piece_that_no_executor_can_finish_fails_its_dates_only(shared, monkeypatch):
    monkeypatch.setattr(normalize, "stage", spark.stage_never)
    assert not shared.run(SENT, AS_OF)
    (error,) = shared.errors
    assert "date=2025-01-16" in error
    assert "finished the piece with this date: RuntimeError: out of luck" in error
    assert sorted(map(str, shared.curated("fact_order"))) == [DATES[0], *DATES[2:]]


@on_spark
def test_the_next_run_finishes_what_a_killed_driver_has_left(tmp_path, alone):
    lake = LakeUnderTest(tmp_path / "shared")
    lake.offer([*SENT, *MOVED])
    with spark.standalone(tmp_path / "spark", workers=1) as found:
        os.mkfifo(found.mark)
        words = ("--cluster-address", found.address, "--run-as-of", LATER.isoformat())
        waiting = driver(lake, *words, mark=found.mark, more="import spark; normalize.stage = spark.stage_and_wait")
        with open(os.open(found.mark, os.O_RDONLY | os.O_NONBLOCK)) as told, waiting:
            staged, _, _ = select.select([told], [], [], DEADLINE_SECONDS)
            os.kill(waiting.pid, signal.SIGKILL)
        assert staged, waiting.returncode
        assert [name for name in lake.litter() if name.endswith(".parquet")] != []
        code, said = finished(driver(lake, *words))
        assert code == 0, said
    assert lake.files() == alone.files()
    assert lake.litter() == []


# What a run refuses, in one line


@on_spark
def test_an_executor_with_another_version_builds_nothing_and_is_named(shared, monkeypatch):
    """The versions of the driver are changed here, since the executors share this machine's packages."""
    found = executor.software()
    others = found | {"duckdb": "1.0.0", "orders-lake": "0.1.0 (files 0)"}
    monkeypatch.setattr(executor, "software", lambda: others)
    assert not shared.run(SENT, AS_OF)
    wrong = f"has duckdb {found['duckdb']}, not 1.0.0, orders-lake {found['orders-lake']}, not 0.1.0 (files 0);"
    assert any(wrong in error for error in shared.errors), shared.errors
    assert shared.normalized("orders") == {}


def test_an_executor_that_does_not_find_the_lake_is_named(tmp_path):
    piece = SimpleNamespace(files=Files(tmp_path / "elsewhere", fsync=False), dates=["2025-01-15"])
    asked = pa.RecordBatch.from_pydict({"question": [executor.question(print, piece, "1GB")]})
    (answered,) = executor.answers(iter([asked]))
    answer = pickle.loads(answered["answer"][0].as_py())
    assert f"cannot write to {tmp_path}/elsewhere/.staging/" in answer.text
    assert "No such file or directory; expected the lake" in answer.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cluster-address", NOBODY], f"ClusterUnusable: {NOBODY}: Connection refused; expected a Spark master"),
        (["--cluster-address", NOBODY, "--workers", "2"], "BadSetting: --workers: expected 1, and no [worker]"),
        *((["--cluster-address", text], f"BadSetting: --cluster-address {text}: expected spark://") for text in BAD),
        (["--cluster-address", "sc://h/token=s3cret"], "BadSetting: --cluster-address sc://h/token=…: expected spark:"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_line(lake, words, told):
    lake.offer(SENT)
    code, said = finished(driver(lake, *words))
    assert code != 0
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if "ERROR" in line]
    assert told in line


@on_spark
def test_a_cluster_without_a_free_core_is_one_line(tmp_path, lake):
    lake.offer(SENT)
    with spark.standalone(tmp_path / "spark", workers=0) as found:
        code, said = finished(driver(lake, "--cluster-address", found.address, "--storage-lock-timeout-seconds", "3"))
    assert code != 0
    assert f"event=cluster_waiting address={found.address}" in said
    assert f"ClusterUnusable: {found.address}: no executor has answered within 3 s" in said
    assert "Traceback" not in said


def test_the_token_of_an_address_is_not_told(lake):
    lake.settings["cluster"] = {"address": "sc://127.0.0.1:9/;token=s3cret"}
    assert not lake.run(SENT, AS_OF)
    assert any("sc://127.0.0.1:9: Connection refused" in error for error in lake.errors)
    assert not any("s3cret" in error for error in lake.errors)


def test_several_workers_are_refused_in_a_program_too(lake):
    lake.offer(SENT)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        lake.settings["cluster"] = {"address": f"spark://127.0.0.1:{listening.getsockname()[1]}"}
        keys = [(section, key) for section, of in lake.settings.items() for key in of]
        given = {f"ORDERS_LAKE_{section}_{key}".upper(): str(lake.settings[section][key]) for section, key in keys}
        program = "luigi.build([pipeline.RunAll()], local_scheduler=True, workers=2); sys.exit()"
        _, said = finished(driver(lake, more=f"import os, luigi, pipeline; os.environ.update({given}); {program}"))
    assert "BadSetting: --workers: expected 1" in said


JAVA = "An error occurred while calling o57.collectToPython.\n: org.apache.spark.SparkException: Job aborted\n\tat org."
PYTHON = """An exception was thrown from the Python worker:
Traceback (most recent call last):
  File "worker.py", line 1, in main
    raise RuntimeError("out of luck")
RuntimeError: out of luck
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (JAVA, "org.apache.spark.SparkException: Job aborted"),
        (PYTHON, "RuntimeError: out of luck"),
        (f"{JAVA}\n{PYTHON}", "RuntimeError: out of luck"),
        ("[JAVA_GATEWAY_EXITED] Java gateway process exited.\n", "[JAVA_GATEWAY_EXITED] Java gateway process exited."),
        ("", "OSError"),
    ],
)
def test_of_an_error_of_spark_the_line_that_says_what_happened_is_told(text, reason):
    assert _reason(OSError(text)) == reason


def test_a_run_without_an_address_does_not_import_spark(lake):
    lake.offer(SENT)
    imported = "[name for name in sys.modules if name in ('pyspark', 'py4j', 'grpc')]"
    more = f"import atexit; atexit.register(lambda: print('imported:', {imported}))"
    code, said = finished(driver(lake, more=more))
    assert code == 0, said
    assert "imported: []" in said
