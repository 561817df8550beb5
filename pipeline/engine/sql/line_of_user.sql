-- line_of_user: one row per line that is a record of the user, or is not a JSON object (is_record: false)
WITH field AS (
    SELECT position, json_fields(line, '{"user_id": "JSON"}') AS json
    FROM line
)

SELECT position, json IS NOT NULL AS is_record
FROM field
WHERE json IS NULL OR identifier(json.user_id) = $user_id
ORDER BY position
