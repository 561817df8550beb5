-- key: one row per row of orders: an order, its partition, and its version there
SELECT order_id, date, coalesce(updated_at, created_at) AS version, created_at
FROM orders
