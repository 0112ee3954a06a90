-- The ticket held, so its generations are the current ones. A tag that it names twice binds once.
INSERT INTO cache_entry_tag (entry, tag, generation)
SELECT ?1, tag.id, tag.generation
FROM json_each(?2) AS asked
JOIN cache_tag AS tag ON tag.digest = unhex(asked.value)
WHERE true
ON CONFLICT (entry, tag) DO NOTHING
