-- held_order_id: one row per order_id of published, the rows of a table that has orders
SELECT DISTINCT order_id
FROM published
