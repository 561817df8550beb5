-- unknown_sku: one row: how many rows of order_items have a sku that is not in dim_product (late-arriving)
SELECT count(*) AS lines
FROM order_items
WHERE sku IS NOT NULL AND sku NOT IN (SELECT sku FROM dim_product)
