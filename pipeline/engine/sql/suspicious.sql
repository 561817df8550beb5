-- suspicious: one row per raw line that DuckDB's JSON reader may round or accept wrongly, to be read exactly instead:
-- numbers of 16 characters or more, with an exponent (as text, too) or a leading -0; NaN, Infinity; a comma before a
-- closing bracket; a text that may be a number behind escapes. A value stands after a comma, a colon or a bracket alike.
-- Three expressions rather than one, since a first character that is fixed lets RE2 skip from one to the next.
SELECT position
FROM line
WHERE regexp_matches(line, ',\s*(?:[\]}]|-?[\d.]{16}|-?[\d.]+[eE]|-0|-?(?i:nan|inf)|"-?[\d.]+[eE][+-]?\d\d?"|"[-.\deE+]*\\u00[2-7])')
    OR regexp_matches(line, ':\s*(?:-?[\d.]{16}|-?[\d.]+[eE]|-0|-?(?i:nan|inf)|"-?[\d.]+[eE][+-]?\d\d?"|"[-.\deE+]*\\u00[2-7])')
    OR regexp_matches(line, '\[\s*(?:-?[\d.]{16}|-?[\d.]+[eE]|-0|-?(?i:nan|inf)|"-?[\d.]+[eE][+-]?\d\d?"|"[-.\deE+]*\\u00[2-7])')
