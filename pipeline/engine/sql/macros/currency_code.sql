-- currency_code(json): the characters of a JSON string, in upper case if they are three ASCII letters; null for every
-- other JSON value
CREATE OR REPLACE TEMP MACRO currency_code(json) AS
CASE WHEN regexp_full_match(text(json), '[A-Za-z]{3}') THEN upper(text(json)) ELSE text(json) END
