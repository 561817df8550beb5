"""The engine: DuckDB and numpy read raw lines, type and judge records, join tables and count values."""

from pipeline.engine.connection import (
    BAD_DATE,
    Engine,
    EngineError,
    OpenEngine,
    check_names,
    literal,
    load_libraries,
    sql,
    use_system_memory,
)
from pipeline.engine.counting import ORDER_LEVEL, REQUIRED
from pipeline.engine.exact_json import NotJson, NotText, rewrite, tokens
from pipeline.engine.facts import amounts_by_date, fact_order
from pipeline.engine.fit import Fit
from pipeline.engine.lines import Lines, bind_lines, same_instant, split_lines
from pipeline.engine.normalizing import Normalized, by_date, normalized

__all__ = [
    "BAD_DATE",
    "ORDER_LEVEL",
    "REQUIRED",
    "Engine",
    "EngineError",
    "Fit",
    "Lines",
    "Normalized",
    "NotJson",
    "NotText",
    "OpenEngine",
    "amounts_by_date",
    "bind_lines",
    "by_date",
    "check_names",
    "fact_order",
    "literal",
    "load_libraries",
    "normalized",
    "rewrite",
    "same_instant",
    "split_lines",
    "sql",
    "tokens",
    "use_system_memory",
]
