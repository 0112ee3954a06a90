-- Tombstones in order of id.
SELECT id, version, deleted_at FROM vector_gone
WHERE collection = ?1 AND id > ?2
ORDER BY id
LIMIT ?3
