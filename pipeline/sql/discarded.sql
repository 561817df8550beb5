-- discarded: one row per discarded record: where it stands among all lines and in its date's raw file, and why
WITH placed AS (
    SELECT
        position,
        partition_date AS date,
        position - min(position) OVER (PARTITION BY partition_date) AS position_in_date,
        reason
    FROM record
)

SELECT position, date, position_in_date, reason
FROM placed
WHERE reason IS NOT NULL
ORDER BY date, position
