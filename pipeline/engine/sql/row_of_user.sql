-- row_of_user: one row per date of the given files that have rows of the user, and how many
SELECT date, count(*) AS rows
FROM read_parquet($files, hive_partitioning = false)
WHERE user_id = $user_id
GROUP BY date
