-- dim_user: one row per user
SELECT user_id, email, created_at, country
FROM users
