-- text(json): the characters of a JSON string; null for every other JSON value
CREATE OR REPLACE TEMP MACRO text(json) AS
CASE
    WHEN CAST(json AS VARCHAR)[1] <> '"' THEN NULL
    WHEN contains(CAST(json AS VARCHAR), '\') THEN json ->> '$'
    ELSE CAST(json AS VARCHAR)[2:-2]
END
