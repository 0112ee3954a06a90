-- Where the walk is, or, at its end, that there is none; what it left out everywhere is forgotten.
WITH forgotten AS (
    DELETE FROM hexmem.vector_dead d WHERE $3::bigint IS NULL AND d.collection = $1 AND d.place <= $2
    RETURNING d.place
)
UPDATE hexmem.vector_collections c SET
    tidy_list = $3, tidy_chunk = $4::integer, tidy_place = CASE WHEN $3 IS NULL THEN NULL ELSE $2 END,
    dead = c.dead - (SELECT count(*) FROM forgotten)
WHERE c.id = $1
