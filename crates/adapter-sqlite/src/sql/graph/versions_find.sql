-- All versions of all edges: keyset on id and version over their unique index. ?8 is the version after which to go on.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM graph_edge AS edge
WHERE edge.graph = ?1 AND (edge.id, edge.version) > (?2, ?8)
    AND (?4 IS NULL OR edge.relation IN (SELECT value FROM json_each(?4)))
    AND (?5 IS NULL OR edge.weight >= ?5)
    AND (?6 IS NULL OR edge.source IN (SELECT value FROM json_each(?6)))
    AND ?7 IS NULL
ORDER BY edge.id, edge.version
LIMIT ?3
