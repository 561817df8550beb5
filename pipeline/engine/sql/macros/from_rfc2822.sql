-- from_rfc2822(text): a time such as "Tue, 20 Nov 2012 00:00:00 +0000" as the text of a timestamp; null for anything
-- else. The day of the week is not checked
CREATE OR REPLACE TEMP MACRO from_rfc2822(text) AS
CASE WHEN regexp_full_match(
    text,
    '(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?[0-9]{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} '
    || '[0-9]{2}:[0-9]{2}(?::[0-9]{2})? (?:[+-][0-9]{4}|GMT|UT)'
) THEN
    regexp_extract(text, ' ([0-9]{4}) ', 1)
    || '-' || lpad(CAST((strpos(
        'JanFebMarAprMayJunJulAugSepOctNovDec', regexp_extract(text, '[0-9] ([A-Z][a-z]{2}) ', 1)
    ) + 2) // 3 AS VARCHAR), 2, '0')
    || '-' || lpad(regexp_extract(text, '([0-9]{1,2}) [A-Z]', 1), 2, '0')
    || 'T' || regexp_extract(text, '([0-9:]+) [^ ]+$', 1)
    || regexp_replace(regexp_extract(text, '[^ ]+$'), '[A-Z]+', 'Z')
END
