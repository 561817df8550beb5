-- shares_sum_to_amounts: one row per order and date whose shares in fact_order do not sum to the order's amount
WITH header AS (
    SELECT hash(order_id, date) AS key, amount
    FROM orders
)

SELECT order_id, date, shares, amount
FROM checked_order
LEFT JOIN header USING (key)
WHERE shares IS DISTINCT FROM amount
