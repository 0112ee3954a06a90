-- Newest first, below the version of the cursor.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM graph_node AS node
WHERE node.graph = ?1 AND node.id = ?2 AND node.version < ?3
ORDER BY node.version DESC
LIMIT ?4
