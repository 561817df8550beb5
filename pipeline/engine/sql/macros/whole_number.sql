-- whole_number(json): a number or string whose fraction is only zeros, of at most 10^9 in size; else null.
-- The first branch is for speed: a short JSON number without a point is whole (one with an exponent comes as a string)
CREATE OR REPLACE TEMP MACRO whole_number(json) AS
CASE
    WHEN strlen(CAST(json AS VARCHAR)) < 10
        AND NOT starts_with(CAST(json AS VARCHAR), '"') AND NOT contains(CAST(json AS VARCHAR), '.')
        THEN TRY_CAST(CAST(json AS VARCHAR) AS BIGINT)
    WHEN regexp_full_match(coalesce(text(json), CAST(json AS VARCHAR)), '-?[0-9]+(\.0+)?')
        AND abs(TRY_CAST(coalesce(text(json), CAST(json AS VARCHAR)) AS DECIMAL(18, 4))) <= 1000000000
        THEN CAST(TRY_CAST(coalesce(text(json), CAST(json AS VARCHAR)) AS DECIMAL(18, 4)) AS BIGINT)
END
