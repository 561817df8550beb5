-- dim_user: one row per row of users.csv, typed by the contract's grammar; reason is null for a row that is kept
SELECT
    position,
    identifier(to_json(user_id)) AS user_id,
    email,
    instant(to_json(created_at)) AS created_at,
    country,
    CASE
        WHEN ragged THEN 'ragged_row'
        WHEN identifier(to_json(user_id)) IS NULL THEN 'missing_user_id'
        WHEN trim(created_at) <> '' AND instant(to_json(created_at)) IS NULL THEN 'invalid_created_at'
    END AS reason
FROM csv_row
ORDER BY position
