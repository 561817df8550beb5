-- shared_order: one row per two partitions that hold the same order_id; the first is one of built_orders
SELECT DISTINCT built.date AS date, other.date AS neighbour
FROM orders AS other
JOIN built_orders AS built USING (order_id)
WHERE built.date <> other.date
