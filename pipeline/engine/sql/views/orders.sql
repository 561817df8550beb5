-- orders: one row per order, its latest version in the lake, with currency and metadata; an excluded order is in none
-- of the curated tables. Files of before have neither status nor excluded, so they are read by name
WITH version AS (
    SELECT CAST(NULL AS VARCHAR) AS status, CAST(NULL AS BOOLEAN) AS excluded
    WHERE false
    UNION ALL BY NAME
    FROM read_parquet(
        ${root} || '/normalized/date=????-??-??/orders.parquet', hive_partitioning = false, union_by_name = true
    )
)

SELECT
    order_id,
    user_id,
    amount,
    currency,
    created_at,
    updated_at,
    metadata,
    date,
    status,
    coalesce(excluded, false) AS excluded
FROM version
QUALIFY row_number() OVER (
    PARTITION BY order_id
    ORDER BY coalesce(updated_at, created_at) DESC, created_at DESC
) = 1
