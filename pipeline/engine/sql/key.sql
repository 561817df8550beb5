-- key: one row per row of orders: an order's version in a partition
SELECT order_id, date, coalesce(updated_at, created_at) AS version, created_at
FROM orders
