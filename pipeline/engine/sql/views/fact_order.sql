-- fact_order: one row per order line; one row with null sku, qty and price for an order without lines
SELECT order_id, user_id, sku, amount, qty, price, created_at, date
FROM read_parquet(${root} || '/curated/date=????-??-??/fact_order.parquet', hive_partitioning = false)
