-- without_children(json, applies): the elements of an array, of which those with a parent_item_id (PARENT in fields.py)
-- belong to another one and are left out; null for anything but an array
CREATE OR REPLACE TEMP MACRO without_children(json, applies) AS
CASE
    WHEN applies THEN list_filter(
        TRY(CAST(json AS JSON[])),
        lambda item: coalesce(CAST(json_extract(item, '$.parent_item_id') AS VARCHAR), 'null') = 'null'
    )
    ELSE TRY(CAST(json AS JSON[]))
END
