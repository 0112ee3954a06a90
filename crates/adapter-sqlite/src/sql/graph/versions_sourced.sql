-- All versions of edges from one of the sources of a JSON array.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM json_each(?6) AS given
CROSS JOIN graph_edge AS edge INDEXED BY graph_edge_source ON edge.graph = ?1 AND edge.source = given.value
WHERE (edge.id, edge.version) > (?2, ?8)
    AND (?4 IS NULL OR edge.relation IN (SELECT value FROM json_each(?4)))
    AND (?5 IS NULL OR edge.weight >= ?5)
    AND ?7 IS NULL
ORDER BY edge.id, edge.version
LIMIT ?3
