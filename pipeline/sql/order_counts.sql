-- order_counts: one row per date: how many records stay, and which of their values were not accepted
SELECT
    date,
    count(*) AS normalized,
    count(*) FILTER (WHERE amount IS NULL) AS amount,
    count(*) FILTER (WHERE user_id IS NULL AND user_id_present) AS user_id,
    count(*) FILTER (WHERE updated_at IS NULL AND updated_at_present) AS updated_at,
    CAST(sum(dropped_items) AS BIGINT) AS dropped_items,
    list_sort(list(DISTINCT currency) FILTER (WHERE currency IS NOT NULL)) AS currencies
FROM kept
GROUP BY date
