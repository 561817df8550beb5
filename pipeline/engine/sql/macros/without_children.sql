-- without_children(json, applies): the elements of an array; null for anything else. If it applies, elements with a
-- parent_item_id (PARENT in fields.py) are left out, because they belong to another element
CREATE OR REPLACE TEMP MACRO without_children(json, applies) AS
CASE
    WHEN applies THEN list_filter(
        TRY(CAST(json AS JSON[])),
        lambda item: coalesce(CAST(json_extract(item, '$.parent_item_id') AS VARCHAR), 'null') = 'null'
    )
    ELSE TRY(CAST(json AS JSON[]))
END
