-- instant(json): a timestamp of the contract's grammar as UTC, in microseconds; else null.
-- The first condition is for speed: a local time in 1971 to 2198 is in the contract's range with any offset
CREATE OR REPLACE TEMP MACRO instant(json) AS
CASE WHEN regexp_full_match(
    CAST(json AS VARCHAR),
    '"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?'
    || '(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?"'
) THEN CASE
    WHEN (CAST(json AS VARCHAR) >= '"1971' AND CAST(json AS VARCHAR) < '"2199')
        OR TRY_CAST(replace(CAST(json AS VARCHAR), '"', '') AS TIMESTAMPTZ)
        BETWEEN TIMESTAMPTZ '1970-01-01 00:00:00+00' AND TIMESTAMPTZ '2199-12-31 23:59:59.999999+00'
        THEN make_timestamp(epoch_us(TRY_CAST(replace(CAST(json AS VARCHAR), '"', '') AS TIMESTAMPTZ)))
END END
