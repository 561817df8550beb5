-- identifier(json): a non-blank string as it is, an integer as its digits; else null.
-- The first branch is for speed: a string is not blank if its first character sorts after the quote in ASCII
CREATE OR REPLACE TEMP MACRO identifier(json) AS
CASE
    WHEN CAST(json AS VARCHAR) >= '"#' AND CAST(json AS VARCHAR) < '#' AND NOT contains(CAST(json AS VARCHAR), '\')
        THEN replace(CAST(json AS VARCHAR), '"', '')
    WHEN starts_with(CAST(json AS VARCHAR), '"') THEN
        CASE WHEN trim(text(json), e' \t\n\r\f\x0B') <> '' THEN text(json) END
    WHEN regexp_full_match(CAST(json AS VARCHAR), '-?[0-9]+') THEN CAST(json AS VARCHAR)
END
