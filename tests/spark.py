"""Spark on loopback: a master with workers of one core, a Spark Connect server, and what tests let executors do."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from depth import IS_DEEP
from lake import LakeUnderTest
from processes import BIN, DEADLINE_SECONDS, REPOSITORY

from pipeline.stages import curate_piece, normalize_piece

TESTS = REPOSITORY / "tests"
SERVICES = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
STARTED = re.compile(rb"Starting Spark master at spark://(\S+)")
REGISTERED = re.compile(rb"Successfully registered with (master)")
SERVING = re.compile(rb"Spark Connect server started at: \S+:(\d+)")
DRIVER = """
import sys
from pipeline.__main__ import main
from pipeline.stages import curate, normalize
normalize.PIECE_BYTES = curate.PIECE_BYTES = 1
{more}
main(sys.argv[1:])
"""
# where a function that runs on an executor notes that it has been there
MARK = "SPARK_TEST_MARK"


@dataclass(frozen=True)
class Standalone:
    """A running master. Once a function has been on an executor, the file `mark` exists."""

    address: str
    mark: Path


def environment(mark: Path) -> dict[str, str]:
    """That of Spark's processes and of drivers: executors know this module."""
    return os.environ | {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": f"{TESTS}:{REPOSITORY}",
        "PYSPARK_PYTHON": sys.executable,
        MARK: str(mark),
    }


@contextmanager
def standalone(folder: Path, workers: int) -> Iterator[Standalone]:
    """A master and its workers, as docker-compose.yml starts them, but on loopback. All are gone at the end."""
    require_spark()
    folder.mkdir(exist_ok=True)
    mark = folder / "mark"
    with ExitStack() as stack:
        master = stack.enter_context(_running(*_service("spark-master"), mark=mark, until=STARTED))
        for _ in range(workers):
            stack.enter_context(_running(*_service("spark-worker", master), mark=mark, until=REGISTERED))
        yield Standalone(f"spark://{master}", mark)


def _service(name: str, master: str = "") -> list[str]:
    """The words of a service, with ports that are free."""
    _, role, *words = SERVICES[name]["entrypoint"]
    words = [word.replace("spark-master:7077", master).replace("spark-master", "127.0.0.1") for word in words]
    return [role, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0", *words]


@contextmanager
def connect(folder: Path) -> Iterator[str]:
    """A Spark Connect server with two cores; its address."""
    require_spark()
    binding = {"spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": "0"}
    options = ["--master", "local[2]", "--conf", "spark.ui.enabled=false"]
    options += [word for name, value in binding.items() for word in ("--conf", f"{name}={value}")]
    options += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with _running("org.apache.spark.deploy.SparkSubmit", *options, mark=folder / "mark", until=SERVING) as port:
        yield f"sc://127.0.0.1:{port}"


def lacking() -> str | None:
    """Why there can be no Spark here; None if there can be."""
    if find_spec("pyspark") is None:
        return "needs pyspark (the extra spark)"
    return None if shutil.which("java") else "needs java"


def require_spark() -> None:
    """Skip the test where there can be no Spark. In a deep run of CI there has to be one."""
    reason = lacking()
    if reason and not (IS_DEEP and os.environ.get("CI")):
        pytest.skip(reason)
    assert reason is None, reason


@contextmanager
def _running(name: str, *options: str, mark: Path, until: re.Pattern[bytes]) -> Iterator[str]:
    """A process of Spark. Yields what the first group of `until` finds in its log."""
    home = Path(str(find_spec("pyspark").origin)).parent
    log = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    command = [str(BIN / "spark-class"), name, *options]
    environ = environment(mark) | {"SPARK_HOME": str(home), "SPARK_WORKER_DIR": str(mark.parent / "work")}
    with subprocess.Popen(command, env=environ, **log, start_new_session=True) as process:
        late = threading.Timer(DEADLINE_SECONDS, process.kill)
        late.start()
        try:
            seen = []
            for line in process.stderr:
                seen.append(line)
                found = until.search(line)
                if found:
                    late.cancel()
                    break
            else:
                raise AssertionError(b"".join(seen).decode())
            # nobody reads its log any more, but its pipe must not fill up
            reader = threading.Thread(target=deque, args=(process.stderr, 0))
            reader.start()
            yield found[1].decode()
        finally:
            late.cancel()
            os.killpg(process.pid, signal.SIGKILL)
        reader.join()


def driver(lake: LakeUnderTest, *words: str, mark: Path = Path("/nowhere"), more: str = "") -> subprocess.Popen[str]:
    """Start `python -m pipeline` over the lake, in a process of its own. Each date is a piece. `more` is code."""
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(more=more), *lake.options(), *words],
        env=environment(mark),
        cwd=lake.root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


# What executors do in tests, in place of normalize_piece.stage


def first_time() -> bool:
    """Whether no executor has been here before in this test."""
    try:
        Path(os.environ[MARK]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def normalize_and_note(engine: Any, piece: Any) -> Any:
    """Stages a piece, and notes its dates in the file `mark`."""
    return _noted("normalized", piece, normalize_piece.stage(engine, piece))


def curate_and_note(engine: Any, piece: Any) -> Any:
    """Likewise."""
    return _noted("curated", piece, curate_piece.stage(engine, piece))


def _noted(what: str, piece: Any, made: Any) -> Any:
    with open(os.environ[MARK], "a") as mark:
        mark.write("".join(f"{what} {date}\n" for date in piece.dates))
    return made


def stage_after_a_kill(engine: Any, piece: Any) -> Any:
    """Stages a piece, but the first executor is killed with the piece staged and its answer not given."""
    made = normalize_piece.stage(engine, piece)
    if first_time():
        # the parent of this process is pyspark's daemon, and the parent of that is the executor
        executor = int(Path(f"/proc/{os.getppid()}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(executor, signal.SIGKILL)
        signal.pause()
    return made


def stage_twice(engine: Any, piece: Any) -> Any:
    """Stages a piece, but the first attempt fails with the piece staged, so Spark runs the piece again."""
    made = normalize_piece.stage(engine, piece)
    if first_time():
        sys.exit(1)
    return made


def stage_never(engine: Any, piece: Any) -> Any:
    """Stages a piece unless it has the date 2025-01-16: then no executor can finish it."""
    if "2025-01-16" in piece.dates:
        raise RuntimeError("out of luck")
    return normalize_piece.stage(engine, piece)


def stage_and_wait(engine: Any, piece: Any) -> Any:
    """Stages a piece, tells who reads the named pipe `mark`, and does not answer."""
    normalize_piece.stage(engine, piece)
    Path(os.environ[MARK]).write_text("staged")
    signal.pause()
