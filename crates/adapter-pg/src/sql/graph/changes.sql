-- The log after $2, of the same instant as the life that says whether it reaches back: up to the end of the revision in which
-- the page is full, so that no batch is split. A version that was purged, or whose id was used again, is not found.
WITH life AS (
    SELECT body, version, revision, log_start, created_at, deleted_at, updated_at FROM hexmem.graph WHERE digest = $1
), page AS (
    SELECT COALESCE((
        SELECT log.revision FROM hexmem.graph_log AS log
        WHERE log.graph = (SELECT body FROM life) AND log.revision > $2
        ORDER BY log.revision, log.place
        LIMIT 1 OFFSET $3
    ), (SELECT revision FROM life)) AS upto
)
SELECT life.version, life.revision, life.log_start, life.created_at, life.deleted_at, life.updated_at, page.upto,
    log.revision, log.node, log.edge, COALESCE(node.version, edge.version, node_past.version, edge_past.version),
    COALESCE(node.kind, edge.relation, node_past.kind, edge_past.relation),
    COALESCE(node.created_at, edge.created_at, node_past.created_at, edge_past.created_at),
    COALESCE(node.recorded_at, edge.recorded_at, node_past.recorded_at, edge_past.recorded_at),
    COALESCE(node.data, edge.data, node_past.data, edge_past.data),
    COALESCE(edge.src, edge_past.src), COALESCE(edge.dst, edge_past.dst), COALESCE(edge.weight, edge_past.weight),
    COALESCE(edge.valid_from, edge_past.valid_from), COALESCE(edge.valid_until, edge_past.valid_until),
    COALESCE(edge.source, edge_past.source)
FROM life
CROSS JOIN page
LEFT JOIN hexmem.graph_log AS log
    ON log.graph = life.body AND log.revision > $2 AND log.revision <= page.upto AND $2 >= life.log_start
LEFT JOIN hexmem.graph_node AS node
    ON log.version IS NOT NULL AND node.graph = life.body AND node.id = log.node
        AND node.version = log.version AND node.revision = log.revision
LEFT JOIN hexmem.graph_edge AS edge
    ON log.version IS NOT NULL AND edge.graph = life.body AND edge.id = log.edge
        AND edge.version = log.version AND edge.revision = log.revision
LEFT JOIN hexmem.graph_node_past AS node_past
    ON node.id IS NULL AND node_past.graph = life.body AND node_past.id = log.node
        AND node_past.version = log.version AND node_past.revision = log.revision
LEFT JOIN hexmem.graph_edge_past AS edge_past
    ON edge.id IS NULL AND edge_past.graph = life.body AND edge_past.id = log.edge
        AND edge_past.version = log.version AND edge_past.revision = log.revision
ORDER BY log.revision, log.place
