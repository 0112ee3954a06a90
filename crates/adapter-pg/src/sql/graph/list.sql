-- Graphs of a tenant: keyset on the name, over the index of those that exist.
SELECT name FROM hexmem.graph
WHERE tenant = $1 AND name > $2 AND name >= $3 AND name <= $4 AND created_at IS NOT NULL AND deleted_at IS NULL
ORDER BY name
LIMIT $5
