-- row_of_user: one row per date on which the table published has rows of the user; rows is how many
SELECT date, count(*) AS rows
FROM published
WHERE user_id = $user_id
GROUP BY date
