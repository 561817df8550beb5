-- sold_line: one row per row of fact_order, with the currency of the order, the country of the user and the category of
-- the product; each is null if it is not known
SELECT
    fact.order_id,
    header.currency,
    fact.sku,
    fact.amount,
    fact.qty,
    dim_user.country,
    dim_product.category
FROM fact_order AS fact
JOIN orders AS header USING (order_id, date)
LEFT JOIN dim_user ON dim_user.user_id = fact.user_id
LEFT JOIN dim_product ON dim_product.sku = fact.sku
