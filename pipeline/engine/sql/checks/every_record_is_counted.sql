-- every_record_is_counted: one row per partition whose counts do not add up (law 1)
SELECT date, extracted, normalized, superseded_here, discarded, kept, superseded_elsewhere, excluded
FROM partition_counts
WHERE extracted <> normalized + superseded_here + discarded
    OR normalized <> kept + superseded_elsewhere + excluded
