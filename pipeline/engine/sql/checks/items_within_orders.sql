-- items_within_orders: one row per order_id and date of order_items that fact_order of this date does not hold
WITH item AS (
    SELECT hash(order_id, date) AS key, order_id, date
    FROM order_items
)

SELECT order_id, date, count(*) AS lines
FROM item
ANTI JOIN (SELECT key FROM checked_order) AS known USING (key)
GROUP BY order_id, date
