-- checked_order: one row per order of the curated partitions to check; its key is a hash, since that is short
SELECT
    hash(order_id, date) AS key,
    hash(order_id) AS order_key,
    any_value(order_id) AS order_id,
    date,
    sum(amount) AS shares
FROM fact_order
GROUP BY key, order_key, date
