-- row_of_user: one row per date on which published, the rows of a table, has rows of the user, and how many
SELECT date, count(*) AS rows
FROM published
WHERE user_id = $user_id
GROUP BY date
