-- dim_product: one row per row of products.csv, typed by the contract's grammar; reason is null for a row that is kept
SELECT
    position,
    identifier(to_json(sku)) AS sku,
    name,
    category,
    money(to_json(price)) AS price,
    CASE
        WHEN ragged THEN 'ragged_row'
        WHEN identifier(to_json(sku)) IS NULL THEN 'missing_sku'
        WHEN trim(price) <> '' AND money(to_json(price)) IS NULL THEN 'invalid_price'
    END AS reason
FROM csv_row
ORDER BY position
