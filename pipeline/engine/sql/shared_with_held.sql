-- shared_with_held: one row per date of orders and date of held that share orders; orders is how many they share
SELECT ours.date AS date, held.date AS other, count(DISTINCT order_id) AS orders
FROM orders AS ours
JOIN held USING (order_id)
GROUP BY ours.date, held.date
ORDER BY ours.date, held.date
