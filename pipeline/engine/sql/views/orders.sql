-- orders: one row per order, its latest version in the lake, with currency and metadata
SELECT order_id, user_id, amount, currency, created_at, updated_at, metadata, date
FROM read_parquet(${root} || '/normalized/date=????-??-??/orders.parquet', hive_partitioning = false)
QUALIFY row_number() OVER (
    PARTITION BY order_id
    ORDER BY coalesce(updated_at, created_at) DESC, created_at DESC
) = 1
