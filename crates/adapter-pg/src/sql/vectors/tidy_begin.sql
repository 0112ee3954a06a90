-- Locks the collection and, where no walk is under way, begins one that knows of all that is dead by now.
UPDATE hexmem.vector_collections c
SET tidy_place = coalesce(c.tidy_place, (SELECT max(d.place) FROM hexmem.vector_dead d WHERE d.collection = c.id))
WHERE c.id = $1 AND c.spec IS NOT NULL
RETURNING c.spec, c.tidy_list, c.tidy_chunk, c.tidy_place
