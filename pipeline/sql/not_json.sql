-- not_json: one row per line that DuckDB does not take for JSON, or that is null
SELECT position
FROM line
WHERE line IS NULL OR NOT json_valid(line)
ORDER BY position
