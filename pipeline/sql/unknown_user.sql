-- unknown_user: one row: how many orders of the given files name a user that dim_user does not have (late-arriving)
SELECT count(DISTINCT hash(order_id)) AS orders
FROM read_parquet($fact_order, hive_partitioning = false)
WHERE user_id IS NOT NULL AND user_id NOT IN (SELECT user_id FROM read_parquet($dim_user, hive_partitioning = false))
