-- key: one row per order of the given normalized partitions: its version there
SELECT order_id, date, coalesce(updated_at, created_at) AS version, created_at
FROM read_parquet($files, hive_partitioning = false)
