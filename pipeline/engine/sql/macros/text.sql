-- text(json): the characters of a JSON string; null for every other JSON value
CREATE OR REPLACE TEMP MACRO text(json) AS
CASE
    WHEN NOT starts_with(CAST(json AS VARCHAR), '"') THEN NULL
    WHEN contains(CAST(json AS VARCHAR), '\') THEN json ->> '$'
    ELSE substring(CAST(json AS VARCHAR), 2, length(CAST(json AS VARCHAR)) - 2)
END
