-- order_line: one row per row of items, in its order
SELECT order_id, line_number, sku, qty, price, date
FROM items
