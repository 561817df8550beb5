"""A dump merged into DuckDB by dlt, and the curated tables as Parquet: python dlt_merge.py DUMP OUT.

It writes the curated rows, columns and types of the pipeline (docs/CONTRACT.md). It writes no raw and no normalized
layer.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 20_000

FACT_ORDER = """
WITH line AS (
    SELECT o.order_id, o.user_id, i.sku, o.amount, i.qty, i.price, o.created_at, o.created_at::DATE AS date,
        i._dlt_list_idx AS place, (i.qty * i.price * 10000)::BIGINT AS worth
    FROM loaded.orders AS o LEFT JOIN loaded.orders__items AS i ON i._dlt_parent_id = o._dlt_id
), weighted AS (
    SELECT *, count(worth) OVER one = count(*) OVER one AND sum(worth) OVER one > 0 AS has_worth,
        CASE WHEN has_worth THEN worth ELSE 1 END AS weight
    FROM line WINDOW one AS (PARTITION BY order_id)
), running AS (
    SELECT *, sum(weight) OVER (one ORDER BY place) AS sum_to, (sum(weight) OVER one)::DOUBLE AS total,
        place IS NOT DISTINCT FROM max(place) OVER one AS is_last
    FROM weighted WINDOW one AS (PARTITION BY order_id)
), share AS (
    SELECT *, amount::DOUBLE AS whole,
        CASE WHEN is_last THEN whole * 1e4 ELSE floor(whole * (sum_to / total) * 1e4 + 0.5) END AS upper,
        floor(whole * ((sum_to - weight) / total) * 1e4 + 0.5) AS lower
    FROM running
)
SELECT order_id, user_id, sku, ((upper - lower) / 1e4)::DECIMAL(18,4) AS amount, qty, price::DECIMAL(18,4) AS price,
    created_at::TIMESTAMP AS created_at, date
FROM share
"""
ORDER_ITEMS = """
SELECT o.order_id, (i._dlt_list_idx + 1)::INTEGER AS line_number, i.sku, i.qty, i.price::DECIMAL(18,4) AS price,
    o.created_at::DATE AS date
FROM loaded.orders AS o JOIN loaded.orders__items AS i ON i._dlt_parent_id = o._dlt_id
"""


def records(dump: str) -> Iterator[list[dict[str, Any]]]:
    """The records in batches, each with the time of its version."""
    batch = []
    with open(dump, encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            record["version_at"] = record.get("updated_at") or record["created_at"]
            batch.append(record)
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


def main(dump: str, out: Path) -> None:
    """Merge the dump and write the curated tables below `out`."""
    out.mkdir(parents=True)
    os.environ |= {"DLT_DATA_DIR": str(out / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    import dlt
    import duckdb

    money = {"data_type": "decimal", "precision": 18, "scale": 4}
    orders = dlt.resource(
        records(dump),
        name="orders",
        primary_key="order_id",
        write_disposition="merge",
        columns={
            "amount": money,
            "metadata": {"data_type": "json"},
            "created_at": {"data_type": "timestamp"},
            "updated_at": {"data_type": "timestamp"},
            "version_at": {"data_type": "timestamp", "dedup_sort": "desc"},
        },
    )
    destination = dlt.destinations.duckdb(str(out / "shop.duckdb"))
    dlt.pipeline("peer", destination=destination, dataset_name="loaded", pipelines_dir=str(out / "state")).run(orders)
    with duckdb.connect(str(out / "shop.duckdb")) as con:
        con.execute("SET TimeZone = 'UTC'; SET threads = 2")
        for name, query in {"fact_order": FACT_ORDER, "order_items": ORDER_ITEMS}.items():
            con.execute(
                f"COPY ({query}) TO '{out / 'curated'}' (FORMAT parquet, PARTITION_BY (date), "
                f"WRITE_PARTITION_COLUMNS true, OVERWRITE_OR_IGNORE true, FILENAME_PATTERN '{name}_{{i}}')"
            )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
