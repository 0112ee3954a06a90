-- The next name that has or had a collection, by its number, which never changes.
SELECT c.id, c.tenant, c.name, c.version, c.modified_at, c.spec
FROM hexmem.vector_collections c WHERE c.id >= $1 ORDER BY c.id LIMIT 1
