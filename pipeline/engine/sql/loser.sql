-- loser: one row per order and partition if another partition, the winner, holds a later version of the order
WITH repeated AS (
    SELECT order_id
    FROM key
    GROUP BY order_id
    HAVING count(*) > 1
)

SELECT
    order_id,
    date,
    version,
    first_value(date) OVER latest AS winner
FROM key
SEMI JOIN repeated USING (order_id)
WINDOW latest AS (PARTITION BY order_id ORDER BY version DESC, created_at DESC)
QUALIFY row_number() OVER latest > 1
