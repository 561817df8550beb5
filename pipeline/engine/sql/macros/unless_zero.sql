-- unless_zero(json, applies): null for 0 and "0", which some shops write for "none"; else the value as it is
CREATE OR REPLACE TEMP MACRO unless_zero(json, applies) AS
CASE WHEN applies AND coalesce(text(json), CAST(json AS VARCHAR)) = '0' THEN NULL ELSE json END
