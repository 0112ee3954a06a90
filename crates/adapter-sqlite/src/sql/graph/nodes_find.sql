-- Current nodes of any type: keyset on the id over the index of current ones.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM graph_node AS node
WHERE node.graph = ?1 AND node.id > ?2 AND node.id >= ?3 AND node.id < ?4 AND node.superseded_at IS NULL
ORDER BY node.id
LIMIT ?5
