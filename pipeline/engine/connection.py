"""Runs the SQL of pipeline/engine/sql on DuckDB, in memory, and hands over Arrow tables."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

MACROS = ("text", "identifier", "instant", "money", "whole_number", "from_epoch", "from_hundredths")
ROWS_PER_SCAN = 8192

# Arrow's own pool gives large buffers back to the system at once and takes them anew, a page fault for each 4 KiB:
# measured at 1 M orders, a run with the C library's took 0.85 to 0.95 of the time
pa.set_memory_pool(pa.system_memory_pool())

EngineError = duckdb.Error
# what a bad file or record may raise, so that its date fails and the others do not
BAD_DATE = (OSError, ValueError, EngineError, pa.ArrowException)

Files = Mapping[str, Sequence[str]]
OpenEngine = Callable[[], "Engine"]


class Engine:
    """One DuckDB connection without files of its own: rows come from Arrow tables and Parquet files.

    Results keep the order of their input rows (DuckDB's preserve_insertion_order) unless the SQL sorts.
    """

    def __init__(self, *, memory_limit: str, threads: int, temp_directory: str) -> None:
        self._connection = duckdb.connect()
        for name, value in {
            "memory_limit": memory_limit,
            "temp_directory": temp_directory,
            "TimeZone": "UTC",
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }.items():
            self._connection.execute(f"SET {name} = ?", [value])
        if threads:
            self._connection.execute("SET threads = ?", [threads])
        for macro in MACROS:
            self._connection.execute(sql(f"macros/{macro}"))

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def bind(self, **relations: pa.Table) -> None:
        """Give Arrow tables the names by which the SQL reads them. Cut into batches, so that two cores share a scan."""
        for name, table in relations.items():
            batches = table.to_batches(max_chunksize=ROWS_PER_SCAN)
            self._connection.register(name, pa.Table.from_batches(batches, schema=table.schema))

    def keep(self, name: str, params: Files | None = None) -> None:
        """Run sql/<name>.sql over files and keep its rows as the temporary table <name>."""
        self._connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {sql(name)}', _literal(params))

    def query(self, name: str, params: Files | None = None, values: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of sql/<name>.sql over files, with other values bound as well."""
        return self._connection.sql(sql(name), params=_literal(params) | dict(values or {})).to_arrow_table()


def _literal(files: Files | None) -> dict[str, Any]:
    return {name: [no_pattern(path) for path in paths] for name, paths in (files or {}).items()}


def no_pattern(path: str) -> str:
    """The path for DuckDB, which would take *, ? and [ in it for a pattern and read other folders' files."""
    return re.sub(r"([*?\[])", r"[\1]", path)


@cache
def sql(name: str) -> str:
    """The text of pipeline/engine/sql/<name>.sql."""
    return resources.files("pipeline.engine").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def check_names() -> list[str]:
    """The data checks of pipeline/engine/sql/checks, sorted."""
    folder = resources.files("pipeline.engine").joinpath("sql", "checks")
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".sql"))
