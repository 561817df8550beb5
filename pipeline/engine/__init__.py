"""The engine: DuckDB and numpy read raw lines, type and judge records, join tables and count values."""

from pipeline.engine.connection import (
    BAD_DATE,
    Engine,
    EngineError,
    OpenEngine,
    OutOfMemory,
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
from pipeline.engine.normalizing import Normalized, normalized
from pipeline.engine.rows import by_date
from pipeline.engine.too_large import TooLarge, raw_line, text_of

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
    "OutOfMemory",
    "TooLarge",
    "amounts_by_date",
    "bind_lines",
    "by_date",
    "check_names",
    "fact_order",
    "literal",
    "load_libraries",
    "normalized",
    "raw_line",
    "rewrite",
    "same_instant",
    "split_lines",
    "sql",
    "text_of",
    "tokens",
    "use_system_memory",
]
