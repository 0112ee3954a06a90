-- A restored answer is bound to the generation that its record names, current or not.
INSERT INTO cache_entry_tag (entry, tag, generation)
SELECT ?1, id, ?3 FROM cache_tag WHERE digest = ?2
ON CONFLICT (entry, tag) DO UPDATE SET generation = excluded.generation
