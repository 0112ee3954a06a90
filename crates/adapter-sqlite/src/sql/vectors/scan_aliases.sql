-- Aliases with their tombstones.
SELECT id, tenant, name, version, modified_at, target FROM vector_aliases
WHERE id > ?1
ORDER BY id
LIMIT ?2
