-- All points of a collection by pages.
SELECT at, id, payload FROM vector_points
WHERE at > ?1 AND at < ?2
ORDER BY at
LIMIT ?3
