-- unknown_user: one row: how many checked orders name a user that dim_user does not have (late-arriving)
WITH unknown AS (
    SELECT hash(order_id, date) AS key
    FROM read_parquet($orders, hive_partitioning = false)
    WHERE user_id NOT IN (SELECT user_id FROM read_parquet($dim_user, hive_partitioning = false))
)

SELECT count(*) AS orders
FROM checked_order
SEMI JOIN unknown USING (key)
