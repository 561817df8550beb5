"""The second yardstick: a plain DuckDB script that writes only the curated layer of a dump, as fast as it can.

    python benchmarks/plain_curated_only.py DUMP OUT

It has the queries and the omissions of plain_three_layers.py. It does not read metadata, currency and raw lines.
"""

import sys
from pathlib import Path

import duckdb
from plain_three_layers import FACT_ORDER, LOSER, ORDER_ITEMS, SETTINGS, copy

COLUMNS = """{order_id: 'VARCHAR', user_id: 'VARCHAR', amount: 'DECIMAL(18,4)', created_at: 'TIMESTAMPTZ',
    updated_at: 'TIMESTAMPTZ', items: 'STRUCT(sku VARCHAR, qty BIGINT, price DECIMAL(18,4))[]'}"""

# one row per record of the dump
VERSION = f"""
CREATE TABLE version AS
SELECT order_id, user_id, amount, created_at::TIMESTAMP AS created_at, updated_at::TIMESTAMP AS updated_at, items,
    created_at::DATE AS date
FROM read_json($dump, format = 'newline_delimited', columns = {COLUMNS})
"""


def main(dump: str, out: Path) -> None:
    """Write the curated layer of `dump` below `out`."""
    con = duckdb.connect()
    con.execute(SETTINGS)
    con.execute(VERSION, {"dump": dump})
    con.execute(LOSER)
    copy(con, FACT_ORDER, out / "curated", "fact_order")
    copy(con, ORDER_ITEMS, out / "curated", "order_items")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
