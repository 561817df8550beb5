-- kept: one row per order and partition, its latest version there, in the order of the file
SELECT position
FROM version
ANTI JOIN superseded USING (position)
ORDER BY partition_date, order_id
