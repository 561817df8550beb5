-- from_hundredths(json, applies): a whole number of hundredths as the text of a number; false, which is no number, for
-- anything else; the value as it is where that does not apply
CREATE OR REPLACE TEMP MACRO from_hundredths(json, applies) AS
CASE
    WHEN NOT applies OR json IS NULL OR CAST(json AS VARCHAR) = 'null' THEN json
    WHEN regexp_full_match(coalesce(text(json), CAST(json AS VARCHAR)), '-?[0-9]{1,18}') THEN
        to_json(CAST(
            CAST(coalesce(text(json), CAST(json AS VARCHAR)) AS DECIMAL(18, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS VARCHAR
        ))
    ELSE 'false'::JSON
END
