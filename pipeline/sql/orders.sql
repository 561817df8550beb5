-- orders: one row per order, ordered by date and order_id
SELECT order_id, user_id, amount, currency, created_at, updated_at, metadata, date
FROM kept
