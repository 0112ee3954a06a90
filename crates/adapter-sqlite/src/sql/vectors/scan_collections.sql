-- Collections with their tombstones, in the order of their first creation.
SELECT id, tenant, name, version, modified_at, revision, spec
FROM vector_collections
WHERE id >= ?1
ORDER BY id
LIMIT ?2
