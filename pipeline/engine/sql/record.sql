-- record: one row per raw line, typed by the contract's grammar; reason is null for a record that is kept.
-- A rewritten (`exact`) line is null if it is not a JSON object; its metadata is in exact_metadata, not in its text
WITH field AS (
    SELECT
        position,
        date AS partition_date,
        answers_as_of,
        exact,
        exact_metadata,
        dropped_items,
        excluded,
        too_large,
        json_fields(
            line,
            '{"order_id": "JSON", "user_id": "JSON", "amount": "JSON", "currency": "JSON", "created_at": "JSON",
              "updated_at": "JSON", "metadata": "JSON", "status": "JSON", "items": [{"sku": "JSON", "qty": "JSON", "price": "JSON"}]}'
        ) AS json
    FROM line
),

typed AS (
    SELECT
        position,
        partition_date,
        answers_as_of,
        exact,
        exact_metadata,
        dropped_items,
        excluded,
        too_large,
        json,
        identifier(json.order_id) AS order_id,
        instant(json.created_at) AS created_at,
        instant(json.updated_at) AS updated_at
    FROM field
)

SELECT
    position,
    partition_date,
    CASE
        WHEN json IS NULL THEN 'malformed_json'
        WHEN too_large THEN 'too_large'
        WHEN order_id IS NULL THEN 'missing_order_id'
        WHEN created_at IS NULL AND (
            json.created_at IS NULL OR trim(text(json.created_at), e' \t\n\r\f\x0B') = ''
        ) THEN 'missing_created_at'
        WHEN created_at IS NULL THEN 'invalid_created_at'
        WHEN created_at > answers_as_of + INTERVAL 1 DAY THEN 'future_created_at'
        WHEN CAST(created_at AS DATE) <> partition_date THEN 'outside_window'
    END AS reason,
    order_id,
    identifier(json.user_id) AS user_id,
    money(json.amount) AS amount,
    currency_code(json.currency) AS currency,
    created_at,
    CASE WHEN updated_at <= answers_as_of + INTERVAL 1 DAY THEN updated_at END AS updated_at,
    text(json.status) AS status,
    excluded,
    json.order_id IS NOT NULL AS order_id_present,
    json.user_id IS NOT NULL AS user_id_present,
    json.amount IS NOT NULL AS amount_present,
    json.currency IS NOT NULL AS currency_present,
    json.updated_at IS NOT NULL AS updated_at_present,
    CASE WHEN exact THEN exact_metadata ELSE CAST(json.metadata AS VARCHAR) END AS metadata,
    list_transform(json.items, lambda item: {
        'sku': identifier(item.sku),
        'qty': whole_number(item.qty),
        'price': money(item.price),
        'sku_present': item.sku IS NOT NULL,
        'qty_present': item.qty IS NOT NULL,
        'price_present': item.price IS NOT NULL
    }) AS items,
    exact,
    dropped_items
FROM typed
