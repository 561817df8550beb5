-- checked_id: one row per order_id of checked_order, sorted
SELECT DISTINCT order_id
FROM checked_order
ORDER BY order_id
