-- json_fields(line, structure): the fields of a JSON object that a constant structure names, each as JSON;
-- null for an absent field; null for a line that is not a JSON object
CREATE OR REPLACE TEMP MACRO json_fields(line, structure) AS
CASE WHEN regexp_matches(line, '^[ \t\n\r]*\{') THEN TRY(json_transform(line, structure)) END
