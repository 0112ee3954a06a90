-- Replaced generations whose answers are all freed.
DELETE FROM cache_ended
WHERE (tag, generation) IN (
    SELECT ended.tag, ended.generation
    FROM cache_ended AS ended
    WHERE NOT EXISTS (
        SELECT 1 FROM cache_entry_tag AS bound
        WHERE bound.tag = ended.tag AND bound.generation = ended.generation
    )
    LIMIT ?1
)
