-- order_line: one row per order line of the given normalized partitions, in the order of files and rows
SELECT order_id, line_number, sku, qty, price, date
FROM read_parquet($files, hive_partitioning = false)
