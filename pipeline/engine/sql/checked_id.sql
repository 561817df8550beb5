-- checked_id: one row per order_id of checked_order
SELECT DISTINCT order_id
FROM checked_order
