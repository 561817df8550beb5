-- order_id_in_one_partition: one row per order_id of checked_order that several curated partitions hold
WITH repeated AS (
    SELECT order_key
    FROM checked_order
    GROUP BY order_key
    HAVING count(*) > 1
),

elsewhere AS (
    SELECT other.order_id, other.date
    FROM other_fact_order AS other
    SEMI JOIN (SELECT order_id FROM checked_order) AS checked USING (order_id)
),

placed AS (
    SELECT order_id, date
    FROM checked_order
    WHERE order_key IN (FROM repeated) OR order_id IN (SELECT order_id FROM elsewhere)
    UNION ALL
    FROM elsewhere
)

SELECT order_id, list_sort(list(DISTINCT date)) AS dates
FROM placed
GROUP BY order_id
HAVING min(date) <> max(date)
