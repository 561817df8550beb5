-- identifier(json): a non-blank string as it is, an integer as its digits; else null.
-- A string that begins with neither a blank nor an escape is not blank: that spares most of them the trimming.
CREATE OR REPLACE TEMP MACRO identifier(json) AS
CASE
    WHEN starts_with(CAST(json AS VARCHAR), '"') THEN
        CASE
            WHEN substring(CAST(json AS VARCHAR), 2, 1) NOT IN (' ', '\', '"') THEN text(json)
            WHEN trim(text(json), e' \t\n\r\f\x0B') <> '' THEN text(json)
        END
    WHEN regexp_full_match(CAST(json AS VARCHAR), '-?[0-9]+') THEN CAST(json AS VARCHAR)
END
