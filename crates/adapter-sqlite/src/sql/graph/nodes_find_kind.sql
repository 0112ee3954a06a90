-- Current nodes of one type, in the order of the index; several types are merged by the caller.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM graph_node AS node
WHERE node.graph = ?1 AND node.kind = ?6 AND node.id > ?2 AND node.id >= ?3 AND node.id < ?4
    AND node.superseded_at IS NULL
ORDER BY node.id
LIMIT ?5
