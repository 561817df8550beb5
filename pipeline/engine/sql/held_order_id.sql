-- held_order_id: one row per order_id of published, a table with an order_id
SELECT DISTINCT order_id
FROM published
