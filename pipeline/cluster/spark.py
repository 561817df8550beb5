"""The driver: hands pieces of dates to the executors of a Spark cluster. Only this module knows pyspark."""

import atexit
import os
import pickle
import re
import socket
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cached_property, partial
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.cluster.executor import Piece, Unfit, Work, answers, question
from pipeline.errors import ClusterUnusable, DateFailed, ExtraMissing
from pipeline.events import emit

# pieces that Spark has at one time
MOST_AT_ONCE = 256
CONNECT_SECONDS = 5
# until the log says that the run waits for an executor
SILENT_SECONDS = 15
CONNECT_PORT = 15002
# Python's line is the one below the indented lines of a traceback. Java's begins with a colon
REASONS = (
    re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(\S.*)"),
    re.compile(r"^: (.+)", re.MULTILINE),
    re.compile(r"(\S.*)"),
)
QUIET = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false"}


class Cluster:
    """The executors at `address`: spark://host:port, sc://host:port (Spark Connect), or local[N].

    Each piece has an engine of its own, with `memory_limit` and one thread. A run waits up to `wait_seconds` for the
    first executor.
    """

    def __init__(self, address: str, memory_limit: str, wait_seconds: float) -> None:
        self.address, self.memory_limit, self.wait_seconds = address, memory_limit, wait_seconds
        # the address without its parameters, which may hold a token
        self._name = address.split("/;")[0]
        self._is_connect = address.startswith("sc://")
        self._session: Any = None

    def map(self, work: Work[Piece], pieces: Iterable[Piece]) -> Iterator[Any]:
        """The results of `work` for the pieces, in their order. Spark may run a piece twice; one result counts.

        A result has an entry for each date. If no executor can finish a piece, its dates get an error.
        Call open() before. Raises ClusterUnusable if an executor is unfit.
        """
        with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
            try:
                yield from pool.map(partial(self._staged, work), pieces)
            except BaseException:
                # ends the jobs for which the pool would wait
                self._close()
                raise

    def reach(self) -> None:
        """Raise ClusterUnusable if nobody listens at the address. Spark itself tries for a minute."""
        url = urlsplit(self.address)
        if not url.scheme:
            return
        try:
            socket.create_connection((url.hostname, url.port or CONNECT_PORT), CONNECT_SECONDS).close()
        except OSError as error:
            raise ClusterUnusable(
                f"{self._name}: {error.strerror or error}; expected {self._expected}; start it, or change [cluster] "
                "address"
            ) from error

    def open(self) -> None:
        """Have a session in which an executor has answered.

        Raises ClusterUnusable if there is no cluster or no fit executor, and ExtraMissing without pyspark.
        """
        if self._session is not None:
            try:
                self._ask(None)
                return
            except self._errors:
                self._close()
        started = time.monotonic()
        self.reach()
        try:
            self._session = self._new_session()
        except ImportError as error:
            raise ExtraMissing(
                f"[cluster] address = {self._name}: {error}; expected pyspark; install the extra spark: "
                "pip install 'orders-lake[spark]'"
            ) from error
        self._wait_for_an_executor()
        emit("cluster_opened", address=self._name, seconds=time.monotonic() - started)

    def _staged(self, work: Work[Piece], piece: Piece) -> Any:
        try:
            return self._ask(work, piece)
        except self._errors as error:
            text = f"no executor of {self._name} finished the piece with this date: {_reason(error)}"
            return dict.fromkeys(piece.dates, DateFailed(text))

    def _ask(self, work: Work[Piece] | None, piece: Piece | None = None) -> Any:
        """What an executor answers to question(). Raises ClusterUnusable, and what Spark raises."""
        # from a list of rows it would take 0.2 s more
        asked = self._session.createDataFrame(pa.table({"question": [question(work, piece, self.memory_limit)]}))
        (row,) = asked.coalesce(1).mapInArrow(answers, "answer binary").collect()
        answer = pickle.loads(row["answer"])  # noqa: S301  SECURITY.md: driver and executors trust each other
        if isinstance(answer, Unfit):
            raise ClusterUnusable(f"{self._name}: {answer.text}")
        return answer

    def _new_session(self) -> Any:
        # its pandas functions are not used
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        builder: Any = import_module("pyspark.sql").SparkSession.builder.appName("orders-lake")
        # executors then have the Python of this path, not the first python3 on their PATH
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        # a TypeError means that SPARK_HOME has another version
        wrong: tuple[type[Exception], ...] = (*self._errors, TypeError)
        try:
            if self._is_connect:
                session = builder.remote(self.address).getOrCreate()
                # the server keeps an idle session for an hour; another Spark ends with this process
                atexit.register(self._close)
                return session
            session = builder.master(self.address).config(map=QUIET).getOrCreate()
        except wrong as error:
            raise ClusterUnusable(f"{self._name}: {_reason(error)}; expected {self._expected}") from error
        if session.sparkContext.master != self.address:
            raise ClusterUnusable(
                f"{self._name}: this process has a Spark session of {session.sparkContext.master}; expected none"
            )
        return session

    def _wait_for_an_executor(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self._ask, None)
            if wait([answer], min(SILENT_SECONDS, self.wait_seconds)).not_done:
                emit("cluster_waiting", address=self._name, timeout_seconds=self.wait_seconds)
            try:
                answer.result(max(self.wait_seconds - SILENT_SECONDS, 0))
            except TimeoutError as error:
                self._close()
                raise ClusterUnusable(
                    f"{self._name}: no executor has answered within {self.wait_seconds:g} s ([storage] "
                    "lock_timeout_seconds); expected a worker with a free core and enough memory; see the page of "
                    "the Spark master"
                ) from error
            except self._errors as error:
                self._close()
                raise ClusterUnusable(
                    f"{self._name}: an executor cannot run the pipeline: {_reason(error)}; expected the Python of this "
                    "run, with the package orders-lake, on all executors"
                ) from error
            except BaseException:
                self._close()
                raise

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(*self._errors):
                session.stop()

    @property
    def _expected(self) -> str:
        if self._is_connect:
            return "a Spark Connect server"
        return "a Spark master there, Java here, and no SPARK_HOME of another Spark"

    @cached_property
    def _errors(self) -> tuple[type[Exception], ...]:
        """What Spark raises. An OSError means that the process of Spark on this machine is gone."""
        far = import_module("grpc").RpcError if self._is_connect else import_module("py4j.protocol").Py4JError
        return (import_module("pyspark.errors").PySparkException, far, OSError)


def _reason(error: Exception) -> str:
    """The line of an error that says what happened."""
    for pattern in REASONS:
        found: list[str] = pattern.findall(str(error))
        if found:
            # of several tracebacks, the last one is of the error that was raised
            return found[-1] if pattern is REASONS[0] else found[0]
    return type(error).__name__
