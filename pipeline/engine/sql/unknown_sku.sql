-- unknown_sku: one row: how many rows of order_items name a sku that dim_product does not have (late-arriving)
SELECT count(*) AS lines
FROM order_items
WHERE sku IS NOT NULL AND sku NOT IN (SELECT sku FROM dim_product)
