-- All versions of the next edges of a body, by id and version.
WITH ids AS MATERIALIZED (
    SELECT id FROM (
        (SELECT id FROM hexmem.graph_edge WHERE graph = $1 AND id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000') AND id IS DISTINCT FROM $2 ORDER BY id LIMIT $3)
        UNION
        (SELECT DISTINCT id FROM hexmem.graph_edge_past WHERE graph = $1 AND id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000') AND id IS DISTINCT FROM $2 ORDER BY id LIMIT $3)
    ) AS found
    ORDER BY id
    LIMIT $3
)
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
FROM ids
JOIN hexmem.graph_edge AS edge ON edge.graph = $1 AND edge.id = ids.id
UNION ALL
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM ids
JOIN hexmem.graph_edge_past AS edge ON edge.graph = $1 AND edge.id = ids.id
ORDER BY id, version
