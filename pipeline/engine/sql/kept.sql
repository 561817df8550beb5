-- kept: one row per order of a partition, its latest version, in the order of its file
SELECT position
FROM version
ANTI JOIN superseded USING (position)
ORDER BY partition_date, order_id
