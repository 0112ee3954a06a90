-- Counts, and what could be served: exact, at the cost of a look at each answer of the namespace.
SELECT
    (SELECT counts FROM cache_counter WHERE room = room.id AND kind = 'namespace' AND name = ''),
    count(answer.id),
    coalesce(sum(answer.size), 0)
FROM cache_room AS room
LEFT JOIN cache_entry AS answer ON answer.room = room.id
    AND answer.expires_at > ?2
    AND NOT EXISTS (
        SELECT 1
        FROM cache_entry_tag AS bound
        JOIN cache_tag AS tag ON tag.id = bound.tag
        WHERE bound.entry = answer.id AND tag.generation IS NOT bound.generation
    )
WHERE room.digest = ?1
GROUP BY room.id
