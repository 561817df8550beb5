-- file_date_is_folder_date: one row per curated file with rows of another date than its folder's
SELECT filename, min(date) AS first_date, max(date) AS last_date, count(*) AS rows
FROM (
    SELECT filename, date
    FROM read_parquet($fact_order, filename = true, hive_partitioning = false)
    UNION ALL
    SELECT filename, date
    FROM read_parquet($order_items, filename = true, hive_partitioning = false)
)
WHERE date IS DISTINCT FROM TRY_CAST(regexp_extract(filename, 'date=([^/]+)/[^/]+$', 1) AS DATE)
GROUP BY filename
