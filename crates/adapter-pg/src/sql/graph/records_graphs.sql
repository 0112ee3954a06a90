-- Graphs in the order of their rows, which never change, deleted ones included.
SELECT id, body, tenant, name, version, created_at, deleted_at FROM hexmem.graph
WHERE id >= $1
ORDER BY id
LIMIT $2
