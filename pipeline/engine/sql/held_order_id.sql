-- held_order_id: one row per order_id of the given normalized or curated files
SELECT DISTINCT order_id
FROM read_parquet($files, hive_partitioning = false)
