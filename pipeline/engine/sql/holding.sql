-- holding: one row per partition of orders that holds an order of changed_order
SELECT DISTINCT date
FROM orders
SEMI JOIN changed_order USING (order_id)
