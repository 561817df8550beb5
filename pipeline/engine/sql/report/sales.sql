-- sales: one row per currency, facet (country, category or sku) and name, for the $named names with the largest
-- amounts; all other names of a currency and facet share one row with rank $named + 1
WITH total AS (
    SELECT 'country' AS facet, currency, country AS name, count(DISTINCT order_id) AS orders, sum(qty) AS qty, sum(amount) AS amount
    FROM "report/sold_line"
    GROUP BY ALL
    UNION ALL
    SELECT 'category', currency, category, count(DISTINCT order_id), sum(qty), sum(amount)
    FROM "report/sold_line"
    GROUP BY ALL
    UNION ALL
    SELECT 'sku', currency, sku, count(DISTINCT order_id), sum(qty), sum(amount)
    FROM "report/sold_line"
    GROUP BY ALL
),

ranked AS (
    SELECT
        facet,
        currency,
        name,
        orders,
        qty,
        amount,
        least(row_number() OVER (
            PARTITION BY facet, currency
            ORDER BY amount DESC NULLS LAST, name
        ), $named + 1) AS rank
    FROM total
)

SELECT
    facet,
    currency,
    rank,
    any_value(name) AS name,
    count(*) AS names,
    CAST(sum(orders) AS BIGINT) AS orders,
    CAST(sum(qty) AS VARCHAR) AS qty,
    CAST(sum(amount) AS VARCHAR) AS amount
FROM ranked
GROUP BY facet, currency, rank
ORDER BY facet, currency, rank
