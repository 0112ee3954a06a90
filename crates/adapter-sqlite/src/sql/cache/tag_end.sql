-- The answers of a replaced generation wait to be freed; one that has none is forgotten at once.
INSERT INTO cache_ended (tag, generation)
SELECT ?1, ?2
WHERE EXISTS (SELECT 1 FROM cache_entry_tag WHERE tag = ?1 AND generation = ?2)
ON CONFLICT (tag, generation) DO NOTHING
