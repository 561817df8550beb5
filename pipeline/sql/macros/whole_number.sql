-- whole_number(json): a number or string without a fraction but zeros, at most 10^9 in size; else null
CREATE OR REPLACE TEMP MACRO whole_number(json) AS
CASE
    WHEN regexp_full_match(coalesce(text(json), CAST(json AS VARCHAR)), '-?[0-9]+(\.0+)?')
        AND abs(TRY_CAST(coalesce(text(json), CAST(json AS VARCHAR)) AS DECIMAL(18, 4))) <= 1000000000
        THEN CAST(TRY_CAST(coalesce(text(json), CAST(json AS VARCHAR)) AS DECIMAL(18, 4)) AS BIGINT)
END
