-- file_date_is_folder_date: one row per curated file that holds rows of another date than its folder
SELECT filename, min(date) AS first_date, max(date) AS last_date, count(*) AS rows
FROM (
    SELECT filename, date
    FROM fact_order
    UNION ALL
    SELECT filename, date
    FROM order_items
)
WHERE date IS DISTINCT FROM TRY_CAST(regexp_extract(filename, 'date=([^/]+)/[^/]+$', 1) AS DATE)
GROUP BY filename
