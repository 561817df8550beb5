-- dim_product: one row per product
SELECT sku, name, category, price
FROM products
