-- unknown_user: one row: how many checked orders name a user that dim_user does not have (late-arriving)
WITH unknown AS (
    SELECT hash(order_id, date) AS key
    FROM orders
    WHERE user_id NOT IN (SELECT user_id FROM dim_user)
)

SELECT count(*) AS orders
FROM checked_order
SEMI JOIN unknown USING (key)
