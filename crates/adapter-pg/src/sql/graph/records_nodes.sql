-- All versions of the next nodes of a body, by id and version.
WITH ids AS MATERIALIZED (
    SELECT id FROM (
        (SELECT id FROM hexmem.graph_node WHERE graph = $1 AND id > $2 ORDER BY id LIMIT $3)
        UNION
        (SELECT DISTINCT id FROM hexmem.graph_node_past WHERE graph = $1 AND id > $2 ORDER BY id LIMIT $3)
    ) AS found
    ORDER BY id
    LIMIT $3
)
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, NULL::timestamptz AS superseded_at, node.data
FROM ids
JOIN hexmem.graph_node AS node ON node.graph = $1 AND node.id = ids.id
UNION ALL
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM ids
JOIN hexmem.graph_node_past AS node ON node.graph = $1 AND node.id = ids.id
ORDER BY id, version
