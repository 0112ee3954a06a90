-- How many answers end with a generation: those that could be served until now.
SELECT count(*)
FROM cache_entry_tag AS mine
JOIN cache_entry AS answer ON answer.id = mine.entry
WHERE mine.tag = ?1 AND mine.generation = ?2 AND answer.expires_at > ?3
    AND NOT EXISTS (
        SELECT 1
        FROM cache_entry_tag AS bound
        JOIN cache_tag AS tag ON tag.id = bound.tag
        WHERE bound.entry = answer.id AND tag.generation IS NOT bound.generation
    )
