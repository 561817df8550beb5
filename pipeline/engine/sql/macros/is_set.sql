-- is_set(json): whether a value means yes. Absent, null, false, 0, "" and "false" do not
CREATE OR REPLACE TEMP MACRO is_set(json) AS
CASE
    WHEN json IS NULL OR CAST(json AS VARCHAR) IN ('null', 'false') THEN false
    WHEN starts_with(CAST(json AS VARCHAR), '"') THEN text(json) NOT IN ('', 'false')
    ELSE NOT regexp_full_match(CAST(json AS VARCHAR), '-?[0.]+([eE].*)?')
END
