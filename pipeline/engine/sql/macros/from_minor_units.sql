-- from_minor_units(json, form, decimals): a whole number of minor units as the text of a number in major units.
-- Without a form: the value as it is. For anything else, or without decimals: false, which is not a number
CREATE OR REPLACE TEMP MACRO from_minor_units(json, form, decimals) AS
CASE
    WHEN form = '' OR json IS NULL OR CAST(json AS VARCHAR) = 'null' THEN json
    WHEN decimals IS NOT NULL AND regexp_full_match(coalesce(text(json), CAST(json AS VARCHAR)), '-?[0-9]{1,18}') THEN
        to_json(CAST(
            CAST(coalesce(text(json), CAST(json AS VARCHAR)) AS DECIMAL(22, 0)) * CASE decimals
                WHEN 0 THEN CAST('1' AS DECIMAL(5, 4))
                WHEN 2 THEN CAST('0.01' AS DECIMAL(5, 4))
                WHEN 3 THEN CAST('0.001' AS DECIMAL(5, 4))
                WHEN 4 THEN CAST('0.0001' AS DECIMAL(5, 4))
            END AS VARCHAR
        ))
    ELSE 'false'::JSON
END
