-- items: one row per order line, ordered by date, order_id and line_number
SELECT order_id, line_number, sku, qty, price, date
FROM item
