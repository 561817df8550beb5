-- holding: one row per normalized partition, of the given ones, that holds an order of changed_order
SELECT DISTINCT date
FROM read_parquet($files, hive_partitioning = false)
SEMI JOIN changed_order USING (order_id)
