-- shares_sum_to_amounts: one row per order whose shares in fact_order do not add up to its amount
WITH shared AS (
    SELECT order_id, date, sum(amount) AS amount
    FROM read_parquet($fact_order)
    GROUP BY order_id, date
)

SELECT shared.order_id, shared.date, shared.amount AS shares, orders.amount
FROM shared
LEFT JOIN read_parquet($orders) AS orders USING (order_id, date)
WHERE shared.amount IS DISTINCT FROM orders.amount
