"""Makes a dump of orders of TPC-H's tables `orders` and `lineitem`, which are in Parquet files of a folder.

    python benchmarks/tpch.py FOLDER OUT

TPC-H knows the date of an order only, so each order gets a time of day that its key decides. An order's amount is the
price with discounts and taxes, so it is not the sum of its lines.
"""

import sys

import duckdb

DUMP = """
COPY (
    SELECT
        'o_' || o_orderkey AS order_id,
        'u_' || o_custkey AS user_id,
        o_totalprice AS amount,
        'USD' AS currency,
        strftime(o_orderdate + to_seconds(o_orderkey * 7919 % 86400), '%Y-%m-%dT%H:%M:%SZ') AS created_at,
        items,
        {status: o_orderstatus, priority: o_orderpriority, clerk: o_clerk, comment: o_comment} AS metadata
    FROM read_parquet($folder || '/orders.parquet')
    JOIN line ON o_orderkey = l_orderkey
    ORDER BY o_orderkey
) TO '{out}' (FORMAT json)
"""
LINES = """
CREATE TEMP TABLE line AS
SELECT l_orderkey, list({
    sku: 'p_' || l_partkey, qty: l_quantity::BIGINT, price: (l_extendedprice / l_quantity)::DECIMAL(18, 2)
} ORDER BY l_linenumber) AS items
FROM read_parquet($folder || '/lineitem.parquet')
GROUP BY l_orderkey
"""


def main(folder: str, out: str) -> None:
    """Write the dump."""
    con = duckdb.connect()
    con.execute(LINES, {"folder": folder})
    con.execute(DUMP.replace("{out}", out), {"folder": folder})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
