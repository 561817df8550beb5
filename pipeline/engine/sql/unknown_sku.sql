-- unknown_sku: one row: how many order lines of the given files name a sku that dim_product does not have (late-arriving)
SELECT count(*) AS lines
FROM read_parquet($order_items, hive_partitioning = false)
WHERE sku IS NOT NULL AND sku NOT IN (SELECT sku FROM read_parquet($dim_product, hive_partitioning = false))
