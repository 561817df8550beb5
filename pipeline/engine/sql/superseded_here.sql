-- superseded_here: the rows of superseded
SELECT position
FROM superseded
