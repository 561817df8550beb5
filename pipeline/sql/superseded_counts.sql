-- superseded_counts: one row per date: how many of its records its own later versions replace
SELECT partition_date AS date, count(*) AS superseded_here
FROM superseded
GROUP BY partition_date
