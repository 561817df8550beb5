-- instant(json): a timestamp of the contract's grammar as UTC, in microseconds; else null
CREATE OR REPLACE TEMP MACRO instant(json) AS
CASE WHEN regexp_full_match(
    text(json),
    '[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?'
    || '(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?'
)
    THEN CASE
        WHEN TRY_CAST(text(json) AS TIMESTAMPTZ) AT TIME ZONE 'UTC' >= TIMESTAMP '1970-01-01'
            AND TRY_CAST(text(json) AS TIMESTAMPTZ) AT TIME ZONE 'UTC' < TIMESTAMP '2200-01-01'
            THEN TRY_CAST(text(json) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
    END
END
