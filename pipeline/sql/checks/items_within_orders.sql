-- items_within_orders: one row per order_id of order_items that fact_order's partition does not hold
WITH item AS (
    SELECT order_id, date, count(*) AS lines
    FROM read_parquet($order_items)
    GROUP BY order_id, date
),

known AS (
    SELECT order_id, date
    FROM read_parquet($fact_order)
)

SELECT order_id, date, lines
FROM item
ANTI JOIN known USING (order_id, date)
