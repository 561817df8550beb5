-- line_of_user: one row per line that is a record of the user, or that may be one (is_record: false): the line is not
-- a JSON object, or it stands in for a record that was too large
WITH field AS (
    SELECT position, too_large, json_fields(line, '{"user_id": "JSON"}') AS json
    FROM line
)

SELECT position, json IS NOT NULL AND NOT too_large AS is_record
FROM field
WHERE json IS NULL OR too_large OR identifier(json.user_id) = $user_id
ORDER BY position
