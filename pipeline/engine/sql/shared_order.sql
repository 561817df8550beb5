-- shared_order: one row per two partitions, the first among those being built, that hold a same order_id
SELECT DISTINCT built.date AS date, other.date AS neighbour
FROM read_parquet($all_files, hive_partitioning = false) AS other
JOIN read_parquet($built_files, hive_partitioning = false) AS built USING (order_id)
WHERE built.date <> other.date
