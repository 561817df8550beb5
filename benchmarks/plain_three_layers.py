"""The yardstick: a plain DuckDB script that writes the raw, normalized and curated layers of a dump.

    python benchmarks/plain_three_layers.py DUMP OUT

It writes the rows, columns and types of the pipeline (docs/CONTRACT.md), and keeps only the latest version of an order
over all dates. For speed it leaves out validation (every record must be valid), ties between versions, manifests, fsync
and the order of rows in files.
"""

import sys
from pathlib import Path

import duckdb

# Other ways that were tried, and their time relative to the code below (DuckDB 2.0, 2 threads, on a busy machine):
#   raw: string_agg and Python writes 1.2-2x; one COPY a file 1.2-2x; from a table of lines, or sorted by date, 1.1-1.6x
#   Parquet: one COPY a file on 2 threads 1.2-1.8x, on 1 thread 1.8-3x (365 and 1,095 dates); sorted by date 1.0-1.2x;
#       Arrow and pyarrow 2x; zstd 1.2x; uncompressed 0.9-1.2x, but thrice the bytes, so not taken
#   shares: window over the lines 1.9x; one running sum over all lines 2.8x; list_reduce 1.3x
#   latest versions: windows over all records 2.7x; max of a struct 1.6x
#   whole script: one parse for lines and fields 1.0x with 1.5 times the memory; a table of lines first, with or without
#       shares, 0.9-1.2x; default flush threshold 0.95-1.08x; more open files 1.0-1.1x
SETTINGS = """
SET threads = 2; SET TimeZone = 'UTC'; SET preserve_insertion_order = false;
SET partitioned_write_flush_threshold = 10_000_000
"""

COLUMNS = """{order_id: 'VARCHAR', user_id: 'VARCHAR', amount: 'DECIMAL(18,4)', currency: 'VARCHAR',
    created_at: 'TIMESTAMPTZ', updated_at: 'TIMESTAMPTZ', metadata: 'JSON',
    items: 'STRUCT(sku VARCHAR, qty BIGINT, price DECIMAL(18,4))[]'}"""

# the lines unchanged: csv without quotes, with a separator that cannot be in JSON
RAW = """
COPY (SELECT json::VARCHAR, (json->>'created_at')::TIMESTAMPTZ::DATE AS date FROM read_ndjson_objects($dump))
TO '{out}/raw' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01', FILE_EXTENSION 'json',
    PARTITION_BY (date), FILENAME_PATTERN 'orders_raw_{{i}}')
"""

# one row per record of the dump
VERSION = f"""
CREATE TABLE version AS
SELECT order_id, user_id, amount, currency, created_at::TIMESTAMP AS created_at, updated_at::TIMESTAMP AS updated_at,
    metadata::VARCHAR AS metadata, items, created_at::DATE AS date
FROM read_json($dump, format = 'newline_delimited', columns = {COLUMNS})
"""

# one row per record that is not the latest version of its order; in_date: nor the latest one of its order on its date
LOSER = """
CREATE TABLE loser AS
WITH again AS (SELECT order_id FROM version GROUP BY order_id HAVING count(*) > 1),
ranked AS (
    SELECT rowid AS id,
        row_number() OVER (PARTITION BY order_id
            ORDER BY coalesce(updated_at, created_at) DESC, created_at DESC) AS place,
        row_number() OVER (PARTITION BY order_id, date
            ORDER BY coalesce(updated_at, created_at) DESC, created_at DESC) AS place_in_date
    FROM version SEMI JOIN again USING (order_id)
)
SELECT id, place_in_date > 1 AS in_date FROM ranked WHERE place > 1
"""

ORDERS = """
SELECT order_id, user_id, amount, currency, created_at, updated_at, metadata, date
FROM version WHERE rowid NOT IN (SELECT id FROM loser WHERE in_date)
"""

ITEMS = """
SELECT order_id, unnest(range(1, len(items) + 1))::INTEGER AS line_number, unnest(items, max_depth := 2), date
FROM version WHERE rowid NOT IN (SELECT id FROM loser WHERE in_date)
"""

# weights are BIGINT ten-thousandths, so their running sums are exact; `lower` is the `upper` of the line before
FACT_ORDER = """
WITH kept AS (
    SELECT order_id, user_id, amount, created_at, date, coalesce(nullif(items, []), [NULL]) AS lines,
        list_transform(lines, lambda x: (x.qty * x.price * 10000)::BIGINT) AS worth,
        CASE WHEN list_count(worth) = len(worth) AND list_sum(worth) > 0 THEN worth
            ELSE list_transform(worth, lambda x: 1::BIGINT) END AS weights
    FROM version WHERE rowid NOT IN (SELECT id FROM loser)
), line AS (
    SELECT *, len(lines) AS last_line, list_sum(weights)::DOUBLE AS total,
        unnest(range(1, last_line + 1)) AS line_number, unnest(weights) AS weight, unnest(lines, max_depth := 2)
    FROM kept
), running AS (
    SELECT *, list_sum(weights[:line_number]) AS sum_to FROM line
), share AS (
    SELECT *, amount::DOUBLE AS whole,
        CASE WHEN line_number = last_line THEN amount::DOUBLE * 1e4
            ELSE floor(whole * (sum_to / total) * 1e4 + 0.5) END AS upper,
        floor(whole * ((sum_to - weight) / total) * 1e4 + 0.5) AS lower
    FROM running
)
SELECT order_id, user_id, sku, ((upper - lower) / 1e4)::DECIMAL(18,4) AS amount, qty, price, created_at, date
FROM share
"""

ORDER_ITEMS = """
SELECT order_id, unnest(range(1, len(items) + 1))::INTEGER AS line_number, unnest(items, max_depth := 2), date
FROM version WHERE rowid NOT IN (SELECT id FROM loser)
"""


def copy(con: duckdb.DuckDBPyConnection, query: str, folder: Path, name: str) -> None:
    """One Parquet file or more per date of the query's rows: folder/date=D/name_N.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    con.execute(
        f"COPY ({query}) TO '{folder}' (FORMAT parquet, PARTITION_BY (date), WRITE_PARTITION_COLUMNS true, "
        f"OVERWRITE_OR_IGNORE true, FILENAME_PATTERN '{name}_{{i}}')"
    )


def main(dump: str, out: Path) -> None:
    """Write the three layers of `dump` below `out`."""
    out.mkdir(parents=True)
    con = duckdb.connect()
    con.execute(SETTINGS)
    con.execute(RAW.format(out=out), {"dump": dump})
    con.execute(VERSION, {"dump": dump})
    con.execute(LOSER)
    copy(con, ORDERS, out / "normalized", "orders")
    copy(con, ITEMS, out / "normalized", "items")
    copy(con, FACT_ORDER, out / "curated", "fact_order")
    copy(con, ORDER_ITEMS, out / "curated", "order_items")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
