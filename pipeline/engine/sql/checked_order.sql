-- checked_order: one row per order and date of the curated partitions to check; the keys are hashes, which are short
SELECT
    hash(order_id, date) AS key,
    hash(order_id) AS order_key,
    any_value(order_id) AS order_id,
    date,
    sum(amount) AS shares
FROM fact_order
GROUP BY key, order_key, date
