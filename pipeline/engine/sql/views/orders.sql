-- orders: one row per order, its latest version in the lake, with currency and metadata; an excluded order is not in
-- the curated tables. Files of older versions lack status and excluded, so columns are matched by name
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
