-- All versions of an edge, newest first: the current one and a keyset over the past.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
)
SELECT * FROM (
    SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
    FROM hexmem.graph_edge AS edge
    WHERE edge.graph = (SELECT body FROM own) AND edge.id = $2 AND edge.version < $3
    UNION ALL
    (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
        FROM hexmem.graph_edge_past AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.id = $2 AND edge.version < $3
        ORDER BY edge.version DESC
        LIMIT $4
    )
) AS edge
ORDER BY edge.version DESC
LIMIT $4
