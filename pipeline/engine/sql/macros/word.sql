-- word(json): the characters of a JSON string, and the text of a number, of true and of false; null for the rest
CREATE OR REPLACE TEMP MACRO word(json) AS
CASE
    WHEN starts_with(CAST(json AS VARCHAR), '"') THEN text(json)
    WHEN left(CAST(json AS VARCHAR), 1) NOT IN ('{', '[', 'n') THEN CAST(json AS VARCHAR)
END
