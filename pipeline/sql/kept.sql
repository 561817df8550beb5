-- kept: one row per order of a date, its latest version, ordered by date and order_id
SELECT
    position,
    order_id,
    user_id,
    amount,
    currency,
    created_at,
    updated_at,
    user_id_present,
    updated_at_present,
    metadata,
    items,
    exact,
    dropped_items,
    CAST(created_at AS DATE) AS date
FROM record
ANTI JOIN superseded USING (position)
WHERE reason IS NULL
ORDER BY date, order_id
