-- shapeless_item: one row per record with an item that has no sku, qty and price, so may be no object: read it exactly
SELECT DISTINCT position
FROM item
WHERE NOT exact AND NOT sku_present AND NOT qty_present AND NOT price_present
