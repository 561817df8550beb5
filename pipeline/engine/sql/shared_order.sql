-- shared_order: one row per two partitions of orders, the first among those of built_orders, that hold a same order_id
SELECT DISTINCT built.date AS date, other.date AS neighbour
FROM orders AS other
JOIN built_orders AS built USING (order_id)
WHERE built.date <> other.date
