-- order_ids: one row per order_id of the lines
SELECT DISTINCT identifier(json.order_id) AS order_id
FROM (
    SELECT CASE WHEN regexp_matches(line, '^[ \t\n\r]*\{') THEN TRY(json_transform(
        line, '{"order_id": "JSON"}'
    )) END AS json
    FROM line
)
WHERE identifier(json.order_id) IS NOT NULL
