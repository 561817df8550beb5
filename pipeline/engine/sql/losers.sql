-- losers: the rows of loser, ordered by date and order_id
SELECT order_id, date, version, winner
FROM loser
ORDER BY date, order_id
