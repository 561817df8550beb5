-- unknown_user: one row: how many checked orders have a user_id that is not in dim_user (late-arriving)
WITH unknown AS (
    SELECT hash(order_id, date) AS key
    FROM orders
    WHERE user_id NOT IN (SELECT user_id FROM dim_user)
)

SELECT count(*) AS orders
FROM checked_order
SEMI JOIN unknown USING (key)
