-- curated_with_unsound: one row per date of fact_order and unsound date that share orders; orders is how many they share
SELECT ours.date AS date, of_unsound.date AS other, count(DISTINCT order_id) AS orders
FROM fact_order AS ours
JOIN of_unsound USING (order_id)
GROUP BY ours.date, of_unsound.date
ORDER BY ours.date, of_unsound.date
