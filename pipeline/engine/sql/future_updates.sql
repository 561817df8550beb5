-- future_updates: one row: how many lines DuckDB cannot read, and how many have an updated_at later than $limit
WITH head AS (
    SELECT json_fields(line, '{"updated_at": "JSON"}') AS json
    FROM line
)

SELECT
    count(*) FILTER (json IS NULL) AS unreadable,
    count(*) FILTER (instant(json.updated_at) > $limit) AS future_updates
FROM head
