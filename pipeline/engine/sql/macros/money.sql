-- money(json): a number, or a string of the contract's grammar, rounded half away from zero to four decimals;
-- null for anything else.
-- Lines with exponents are rewritten without them before this macro sees them (suspicious.sql)
CREATE OR REPLACE TEMP MACRO money(json) AS
CASE
    WHEN NOT starts_with(CAST(json AS VARCHAR), '"') THEN TRY_CAST(CAST(json AS VARCHAR) AS DECIMAL(18, 4))
    WHEN regexp_full_match(text(json), '-?[0-9]+(\.[0-9]+)?')
        THEN TRY_CAST(text(json) AS DECIMAL(18, 4))
END
