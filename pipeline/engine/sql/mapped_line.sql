-- mapped_line: one row per raw line of a shop, rewritten to the contract's names and forms;
-- a line that is not a JSON object stays as it is
WITH field AS (
    SELECT
        *,
        CASE WHEN starts_with(ltrim(line, e' \t\n\r'), '{') THEN TRY(json_extract(line, list_concat([
            $order_id_path, $user_id_path, $amount_path, $currency_path, $created_at_path, $updated_at_path,
            $items_path, $metadata_path, $status_path
        ], $exclude_paths))) END AS json
    FROM line
),

coded AS (
    SELECT *, currency_code(json[4]) AS code
    FROM field
),

counted AS (
    SELECT
        *,
        decimals_of(code, $amount_form, $amount_decimals) AS amount_decimals,
        decimals_of(code, $price_form, $price_decimals) AS price_decimals
    FROM coded
)

SELECT
    position,
    date,
    answers_as_of,
    CASE WHEN json IS NULL THEN line ELSE CAST(to_json({
        'order_id': json[1],
        'user_id': unless_zero(json[2], $user_id_unless_zero),
        'amount': from_minor_units(json[3], $amount_form, amount_decimals),
        'currency': json[4],
        'created_at': from_time(json[5], $created_at_form, $created_at_unit),
        'updated_at': from_time(json[6], $updated_at_form, $updated_at_unit),
        'items': list_transform(without_children(json[7], $items_without_children), lambda item: {
            'sku': json_extract(item, $items_sku_path),
            'qty': json_extract(item, $items_qty_path),
            'price': from_minor_units(json_extract(item, $items_price_path), $price_form, price_decimals)
        }),
        'metadata': json[8],
        'status': json[9]
    }) AS VARCHAR) END AS line,
    exact,
    exact_metadata,
    dropped_items,
    coalesce(list_bool_or(list_transform(
        list_zip(json[10:], $exclude_values),
        lambda condition: CASE
            WHEN len(condition[2]) = 0 THEN is_set(condition[1])
            ELSE list_contains(condition[2], word(condition[1]))
        END
    )), false) AS excluded,
    too_large
FROM counted
