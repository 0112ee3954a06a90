-- As known at ?8: edges whose src is one of the nodes of a JSON array. LIMIT -1 gives all.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM json_each(?9) AS given
CROSS JOIN graph_edge AS edge INDEXED BY graph_edge_src ON edge.graph = ?1 AND edge.src = CAST(given.value AS BLOB)
WHERE edge.id > ?2
    AND edge.recorded_at <= ?8 AND (edge.superseded_at IS NULL OR edge.superseded_at > ?8)
    AND (?4 IS NULL OR edge.relation IN (SELECT value FROM json_each(?4)))
    AND (?5 IS NULL OR edge.weight >= ?5)
    AND (?6 IS NULL OR edge.source IN (SELECT value FROM json_each(?6)))
    AND (?7 IS NULL OR ((edge.valid_from IS NULL OR edge.valid_from <= ?7)
        AND (edge.valid_until IS NULL OR edge.valid_until > ?7)))
ORDER BY edge.id
LIMIT ?3
