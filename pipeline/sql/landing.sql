-- landing: one row per line of a dump, in its order: the date under which it lands (null: undated), and its timestamps
WITH head AS (
    SELECT
        CASE WHEN json_valid(line) AND ltrim(line, e' \t\n\r')[1] = '{' THEN json_transform(
            line, '{"created_at": "JSON", "updated_at": "JSON"}'
        ) END AS json,
        extracted_at,
        position
    FROM line
),

typed AS (
    SELECT
        instant(json.created_at) AS created_at,
        instant(json.updated_at) AS updated_at,
        extracted_at,
        position
    FROM head
)

SELECT
    CASE WHEN created_at <= extracted_at + INTERVAL 1 DAY THEN CAST(created_at AS DATE) END AS date,
    created_at,
    updated_at,
    position
FROM typed
