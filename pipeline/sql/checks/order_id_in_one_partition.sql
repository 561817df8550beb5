-- order_id_in_one_partition: one row per order_id of the run that more than one curated partition holds
WITH touched AS (
    SELECT order_id
    FROM read_parquet($fact_order)
),

placed AS (
    SELECT order_id, date
    FROM read_parquet($all_fact_order)
)

SELECT order_id, list_sort(list(DISTINCT date)) AS dates
FROM placed
SEMI JOIN touched USING (order_id)
GROUP BY order_id
HAVING min(date) <> max(date)
