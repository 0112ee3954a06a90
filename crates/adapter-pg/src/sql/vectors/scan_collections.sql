-- The next name that has or had a collection, by its place, which never changes.
SELECT c.place, c.id, c.tenant, c.name, c.version, c.modified_at, c.spec
FROM hexmem.vector_collections c WHERE c.place >= $1 ORDER BY c.place LIMIT 1
