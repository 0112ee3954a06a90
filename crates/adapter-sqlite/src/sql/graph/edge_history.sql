-- Newest first, below the version of the cursor.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM graph_edge AS edge
WHERE edge.graph = ?1 AND edge.id = ?2 AND edge.version < ?3
ORDER BY edge.version DESC
LIMIT ?4
