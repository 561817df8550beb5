-- word(json): the characters of a JSON string; the text of a number, true or false; null for any other value
CREATE OR REPLACE TEMP MACRO word(json) AS
CASE
    WHEN starts_with(CAST(json AS VARCHAR), '"') THEN text(json)
    WHEN left(CAST(json AS VARCHAR), 1) NOT IN ('{', '[', 'n') THEN CAST(json AS VARCHAR)
END
