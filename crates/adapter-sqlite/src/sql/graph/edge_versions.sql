-- Every version of each edge of a JSON array of hex ids, oldest first within an edge.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM json_each(?2) AS given
CROSS JOIN graph_edge AS edge ON edge.graph = ?1 AND edge.id = unhex(given.value)
ORDER BY given.key, edge.version
