-- A page of aliases and their tombstones, by number, which never changes.
SELECT a.id, a.tenant, a.name, a.version, a.modified_at, a.target
FROM hexmem.vector_aliases a WHERE a.id > $1 ORDER BY a.id LIMIT $2
