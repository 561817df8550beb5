-- order_items: one row per order line
SELECT order_id, line_number, sku, qty, price, date
FROM read_parquet(${root} || '/curated/date=????-??-??/order_items.parquet', hive_partitioning = false)
