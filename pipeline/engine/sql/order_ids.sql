-- order_ids: one row per order_id of the lines
SELECT DISTINCT identifier(json.order_id) AS order_id
FROM (
    SELECT json_fields(line, '{"order_id": "JSON"}') AS json
    FROM line
)
WHERE identifier(json.order_id) IS NOT NULL
