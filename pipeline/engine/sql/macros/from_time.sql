-- from_time(json, form, unit): an RFC 2822 time, or seconds or milliseconds since 1970, as the text of a timestamp.
-- unit: microseconds per second (1000000) or per millisecond (1000).
-- Without a form: the value as it is. For anything else: false, which is not a timestamp
CREATE OR REPLACE TEMP MACRO from_time(json, form, unit) AS
CASE
    WHEN form = '' OR json IS NULL OR CAST(json AS VARCHAR) = 'null' THEN json
    WHEN form = 'rfc2822' THEN coalesce(to_json(from_rfc2822(text(json))), 'false'::JSON)
    WHEN regexp_full_match(coalesce(text(json), CAST(json AS VARCHAR)), '[0-9]{1,14}(\.[0-9]{1,9})?') THEN
        coalesce(to_json(strftime(
            TRY(make_timestamp(CAST(floor(
                CAST(coalesce(text(json), CAST(json AS VARCHAR)) AS DECIMAL(24, 9)) * CAST(unit AS DECIMAL(8, 0))
            ) AS BIGINT))),
            '%Y-%m-%dT%H:%M:%S.%fZ'
        )), 'false'::JSON)
    ELSE 'false'::JSON
END
