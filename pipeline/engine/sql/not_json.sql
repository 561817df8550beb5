-- not_json: one row per line that DuckDB does not accept as JSON, that is null, or that is only a NaN or Infinity
SELECT position
FROM line
WHERE line IS NULL OR NOT json_valid(line) OR regexp_matches(line, '^\s*-?(?i:nan|inf)')
ORDER BY position
