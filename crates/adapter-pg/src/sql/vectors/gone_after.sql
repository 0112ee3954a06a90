-- A page of tombstones in order of id.
SELECT g.id, g.version, g.deleted_at FROM hexmem.vector_gone g
WHERE g.collection = $1 AND g.id >= $2 ORDER BY g.id LIMIT $3
