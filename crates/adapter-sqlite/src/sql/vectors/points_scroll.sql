-- Whole points in order of id.
SELECT at, id, version, modified_at, payload, sparse FROM vector_points
WHERE collection = ?1 AND id > ?2
ORDER BY id
LIMIT ?3
