-- item: one row per order line, ordered as kept and its array; the present columns are for counting
WITH line AS (
    SELECT
        order_id,
        position,
        exact,
        date,
        CAST(generate_subscripts(items, 1) AS INTEGER) AS line_number,
        unnest(items) AS json
    FROM kept
)

SELECT
    order_id,
    position,
    exact,
    line_number,
    identifier(json.sku) AS sku,
    whole_number(json.qty) AS qty,
    money(json.price) AS price,
    json.sku IS NOT NULL AS sku_present,
    json.qty IS NOT NULL AS qty_present,
    json.price IS NOT NULL AS price_present,
    date
FROM line
