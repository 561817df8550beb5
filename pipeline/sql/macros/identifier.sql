-- identifier(json): a non-blank string as it is, an integer as its digits; else null
CREATE OR REPLACE TEMP MACRO identifier(json) AS
CASE
    WHEN CAST(json AS VARCHAR)[1] = '"'
        THEN CASE WHEN trim(text(json), e' \t\n\r\f\x0B') <> '' THEN text(json) END
    WHEN regexp_full_match(CAST(json AS VARCHAR), '-?[0-9]+') THEN CAST(json AS VARCHAR)
END
