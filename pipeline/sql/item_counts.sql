-- item_counts: one row per date: order lines, and which of their values were absent or not accepted
SELECT
    date,
    count(*) AS lines,
    count(*) FILTER (WHERE qty IS NULL) AS qty,
    count(*) FILTER (WHERE sku IS NULL AND sku_present) AS sku,
    count(*) FILTER (WHERE price IS NULL AND price_present) AS price,
    count(*) FILTER (WHERE NOT price_present) AS price_absent
FROM item
GROUP BY date
