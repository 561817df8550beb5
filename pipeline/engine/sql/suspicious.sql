-- suspicious: one row per raw line that DuckDB's JSON reader may round or accept wrongly. Such a line is rewritten.
-- Suspicious are: numbers of 16 characters or more; numbers with an exponent (as a string, too) or a leading -0;
-- NaN and Infinity; a comma before a closing bracket; a string that may be a number behind escapes.
-- A value can follow a comma, a colon or a bracket. There are three expressions, because RE2 searches faster for a
-- fixed first character.
SELECT position
FROM line
WHERE regexp_matches(line, ',\s*(?:[\]}]|-?[\d.]{16}|-?[\d.]+[eE]|-0|-?(?i:nan|inf)|"-?[\d.]+[eE][+-]?\d\d?"|"[-.\deE+]*\\u00[2-7])')
    OR regexp_matches(line, ':\s*(?:-?[\d.]{16}|-?[\d.]+[eE]|-0|-?(?i:nan|inf)|"-?[\d.]+[eE][+-]?\d\d?"|"[-.\deE+]*\\u00[2-7])')
    OR regexp_matches(line, '\[\s*(?:-?[\d.]{16}|-?[\d.]+[eE]|-0|-?(?i:nan|inf)|"-?[\d.]+[eE][+-]?\d\d?"|"[-.\deE+]*\\u00[2-7])')
