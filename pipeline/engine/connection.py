"""Runs the SQL of pipeline/engine/sql on DuckDB in memory, and returns Arrow tables."""

import importlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import cache
from importlib import resources
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from pipeline.contract import Table
from pipeline.garbage import uncollected

# in an order in which each macro can be defined: a macro calls only earlier ones
MACROS = (
    *("json_fields", "text", "identifier", "currency_code", "instant", "money", "whole_number", "is_set", "word"),
    *("from_rfc2822", "from_time", "from_minor_units", "decimals_of", "unless_zero", "without_children"),
)

ROWS_PER_SCAN = 8192
# more would need more memory
MOST_SIDE_BY_SIDE = 4

EngineError = duckdb.Error
OutOfMemory = duckdb.OutOfMemoryException
# the errors that a bad file or record can raise: the date fails, the other dates continue
BAD_DATE = (OSError, ValueError, MemoryError, EngineError, pa.ArrowException)

OpenEngine = Callable[[], "Engine"]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine:
    """A connection to a DuckDB in memory. It reads Arrow tables and Parquet files.

    Results keep the order of the input rows (DuckDB's preserve_insertion_order) unless the SQL sorts them.
    """

    def __init__(self, *, memory_limit: str, threads: int, temp_directory: str) -> None:
        load_libraries()
        self._connection = duckdb.connect()
        for name, value in {
            "memory_limit": memory_limit,
            "temp_directory": temp_directory,
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }.items():
            self._connection.execute(f"SET {name} = ?", [value])
        if threads:
            self._connection.execute("SET threads = ?", [threads])
        self._begin()

    def _begin(self) -> None:
        # other settings are those of all connections
        self._connection.execute("SET TimeZone = 'UTC'")
        self._macros: set[str] = set()

    def map(self, work: Callable[["Engine", Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results of `work` for the items, in their order.

        Several are made side by side, in threads. Each thread has an engine of its own, with its share of DuckDB's
        threads, with other relations, and with the same memory.
        """
        free: SimpleQueue[Engine] = SimpleQueue()

        def make(item: Item) -> Result:
            own = free.get()
            try:
                return work(own, item)
            finally:
                free.put(own)

        with self._side_by_side() as engines, ThreadPoolExecutor(len(engines)) as pool:
            for own in engines:
                free.put(own)
            pending: deque[Future[Result]] = deque()
            for item in items:
                pending.append(pool.submit(make, item))
                if len(pending) > len(engines):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    @contextmanager
    def _side_by_side(self) -> Iterator[list["Engine"]]:
        (threads,) = self._connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
        count = min(threads, MOST_SIDE_BY_SIDE)
        self._connection.execute("SET threads = ?", [-(-threads // count)])
        try:
            with ExitStack() as stack:
                yield [stack.enter_context(self._beside()) for _ in range(count)]
        finally:
            self._connection.execute("SET threads = ?", [threads])

    def _beside(self) -> "Engine":
        other = copy(self)
        other._connection = self._connection.cursor()
        other._begin()
        return other

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def bind(self, **relations: pa.Table) -> None:
        """Register Arrow tables under the names that the SQL reads. Batches let several cores share a scan."""
        for name, table in relations.items():
            batches = table.to_batches(max_chunksize=ROWS_PER_SCAN)
            self._connection.register(name, pa.Table.from_batches(batches, schema=table.schema))

    def register_files(self, table: Table, paths: Iterable[str], name: str | None = None) -> None:
        """Register Parquet files of a table under `name`; the default is the table's own name.

        The rows keep the order of the paths and of each file. The column `filename` holds the path of a row. Without
        paths the relation has no rows. This call opens the first file and the query opens the others, so both may
        raise EngineError. The columns of the first file count for all files: DuckDB's union by name opens every
        footer first, and a query over 365 files then takes twice as long. Files of older versions lack the columns
        `status` and `excluded` of orders, so no query may name these two columns.
        """
        name = name or table.name
        files = ", ".join(map(literal, paths))
        if not files:
            self.bind(**{name: table.schema.append(pa.field("filename", pa.string())).empty_table()})
            return
        self._connection.execute(
            f'CREATE OR REPLACE TEMP VIEW "{name}" AS '
            f"FROM read_parquet([{files}], filename = true, hive_partitioning = false)"
        )

    def keep(self, name: str) -> None:
        """Run sql/<name>.sql and store its rows in the temporary table <name>."""
        self._define_macros(name)
        with _memory_named():
            self._connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {sql(name)}')

    def query(self, name: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of sql/<name>.sql, with these values bound."""
        self._define_macros(name)
        with _memory_named():
            return self._connection.sql(sql(name), params=values or {}).to_arrow_table()

    def _define_macros(self, name: str) -> None:
        """Defining one takes 1 to 2 ms, and most queries call none."""
        for macro in _macros_of(name):
            if macro not in self._macros:
                self._connection.execute(sql(f"macros/{macro}"))
                self._macros.add(macro)


@contextmanager
def _memory_named() -> Iterator[None]:
    """Name the setting in the error when DuckDB has no memory left, in place of DuckDB's own advice."""
    try:
        yield
    except OutOfMemory as error:
        found = str(error).partition("\n")[0]
        raise OutOfMemory(f"{found}; set a greater [engine] memory_limit") from None


@cache
def _macros_of(name: str) -> list[str]:
    """The macros that sql/<name>.sql calls, and those that these macros call, in the order of MACROS."""
    texts, called = sql(name), []
    for macro in reversed(MACROS):
        if re.search(rf"\b{macro}\(", texts):
            called.append(macro)
            texts += sql(f"macros/{macro}")
    return called[::-1]


@cache
def load_libraries() -> None:
    """Import pyarrow.acero, and pandas unless it is left out. Arrow would at its first grouping and its first array.

    Without garbage collection the imports take 0.04 to 0.09 s less.
    """
    with uncollected():
        pa.array([0])
        importlib.import_module("pyarrow.acero")


def use_system_memory() -> None:
    """Make Arrow allocate memory from the C library.

    Arrow's own pool returns large buffers to the system at once and requests them again, with a page fault for each
    4 KiB. Measured at 1 M orders, a run with the C library took 0.85 to 0.95 of the time.
    """
    pa.set_memory_pool(pa.system_memory_pool())


def literal(path: str) -> str:
    """The path as a SQL string. *, ? and [ are escaped, because DuckDB reads them as a pattern for several files."""
    return "'" + re.sub(r"([*?\[])", r"[\1]", path).replace("'", "''") + "'"


@cache
def sql(name: str) -> str:
    """The text of pipeline/engine/sql/<name>.sql."""
    return resources.files("pipeline.engine").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def check_names() -> list[str]:
    """The names of the data checks in pipeline/engine/sql/checks, sorted."""
    folder = resources.files("pipeline.engine").joinpath("sql", "checks")
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".sql"))
