-- landing: one row per line of a dump, with its timestamps and the date that it lands under (null: undated)
WITH head AS (
    SELECT
        position,
        answers_as_of,
        json_fields(line, '{"created_at": "JSON", "updated_at": "JSON"}') AS json
    FROM line
),

typed AS (
    SELECT position, answers_as_of, instant(json.created_at) AS created_at, instant(json.updated_at) AS updated_at
    FROM head
)

SELECT
    position,
    CASE WHEN created_at <= answers_as_of + INTERVAL 1 DAY THEN CAST(created_at AS DATE) END AS date,
    created_at,
    updated_at
FROM typed
