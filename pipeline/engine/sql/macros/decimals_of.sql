-- decimals_of(code, form, decimals): how many decimals a currency has in minor units. Form `hundredths`: two, with or
-- without a code. Other forms: the number in the map `decimals`, else two; null without a code
CREATE OR REPLACE TEMP MACRO decimals_of(code, form, decimals) AS
CASE
    WHEN form = 'hundredths' THEN 2
    WHEN form <> '' AND regexp_full_match(code, '[A-Z]{3}')
        THEN coalesce(CAST(decimals AS MAP(VARCHAR, INTEGER))[code], 2)
END
