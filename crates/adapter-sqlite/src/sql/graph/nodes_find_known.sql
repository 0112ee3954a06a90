-- Nodes as known at ?6: at most one version of each is seen, in the order of the index of versions.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM graph_node AS node
WHERE node.graph = ?1 AND node.id > ?2 AND node.id >= ?3 AND node.id < ?4
    AND node.recorded_at <= ?6 AND (node.superseded_at IS NULL OR node.superseded_at > ?6)
    AND (?7 IS NULL OR node.kind IN (SELECT value FROM json_each(?7)))
ORDER BY node.id
LIMIT ?5
