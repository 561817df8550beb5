-- decimals_of(code, form, decimals): how many decimals a currency has where a form of money writes minor units: two
-- unless the table `decimals` knows better; null where there is no code, but hundredths need none
CREATE OR REPLACE TEMP MACRO decimals_of(code, form, decimals) AS
CASE
    WHEN form = 'hundredths' THEN 2
    WHEN form <> '' AND regexp_full_match(code, '[A-Z]{3}')
        THEN coalesce(CAST(decimals AS MAP(VARCHAR, INTEGER))[code], 2)
END
