-- superseded: one row per record if its own partition holds a later version of the order.
-- version has one row per record that is not discarded
WITH repeated AS (
    SELECT partition_date, order_id
    FROM version
    GROUP BY partition_date, order_id
    HAVING count(*) > 1
)

SELECT position, partition_date
FROM version
SEMI JOIN repeated USING (partition_date, order_id)
QUALIFY row_number() OVER (
    PARTITION BY partition_date, order_id
    ORDER BY coalesce(updated_at, created_at) DESC, created_at DESC, position DESC
) > 1
