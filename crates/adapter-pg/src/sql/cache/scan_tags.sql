-- Ordered as the entries are.
SELECT t.tenant, t.namespace, t.tag, t.generation, t.version, t.modified_at, t.digest
FROM hexmem.cache_tags AS t
WHERE t.digest > $1
ORDER BY t.digest
LIMIT $2
