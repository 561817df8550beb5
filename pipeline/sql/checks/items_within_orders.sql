-- items_within_orders: one row per order_id of order_items that fact_order's partition does not hold
WITH item AS (
    SELECT hash(order_id, date) AS key, any_value(order_id) AS order_id, any_value(date) AS date, count(*) AS lines
    FROM read_parquet($order_items, hive_partitioning = false)
    GROUP BY key
)

SELECT order_id, date, lines
FROM item
ANTI JOIN (SELECT key FROM checked_order) AS known USING (key)
