-- order_header: one row per row of orders, in its order
SELECT order_id, user_id, amount, currency, created_at, date
FROM orders
