-- date_figures: one row per date and currency: the orders that their date keeps, their amount, and late: how many of
-- them were updated after the end of their date
SELECT
    CAST(date AS VARCHAR) AS date,
    currency,
    count(*) AS orders,
    CAST(sum(amount) AS VARCHAR) AS amount,
    count(*) FILTER (updated_at >= date + INTERVAL 1 DAY) AS late
FROM orders
SEMI JOIN fact_order AS kept USING (order_id, date)
GROUP BY ALL
ORDER BY ALL
