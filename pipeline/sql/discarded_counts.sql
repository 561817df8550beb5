-- discarded_counts: one row per date and reason: how many records were discarded for it
SELECT partition_date AS date, reason, count(*) AS records
FROM record
WHERE reason IS NOT NULL
GROUP BY partition_date, reason
ORDER BY partition_date, reason
