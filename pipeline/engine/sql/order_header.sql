-- order_header: one row per order of the given normalized partitions, in the order of files and rows
SELECT order_id, user_id, amount, created_at, date
FROM read_parquet($files, hive_partitioning = false)
