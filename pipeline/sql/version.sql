-- version: one row per record that is not discarded, as far as versions are compared; lines without a date are one partition
SELECT position, coalesce(partition_date, DATE '1970-01-01') AS partition_date, order_id, updated_at, created_at
FROM record
WHERE reason IS NULL
