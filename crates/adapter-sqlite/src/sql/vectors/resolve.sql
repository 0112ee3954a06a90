-- A collection that is there, by its own name or else by an alias.
SELECT 0 AS rank, c.id, c.version, c.revision, c.next_ord, c.points, c.spec
FROM vector_collections AS c
WHERE c.key_hash = ?1 AND c.spec IS NOT NULL
UNION ALL
SELECT 1, c.id, c.version, c.revision, c.next_ord, c.points, c.spec
FROM vector_aliases AS a
JOIN vector_collections AS c ON c.key_hash = a.target_hash
WHERE a.key_hash = ?1 AND c.spec IS NOT NULL
ORDER BY rank
LIMIT 1
