-- As known at $4, counted one by one: the counts that are kept are those of the present.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
), at AS (
    SELECT COALESCE($3::timestamptz, hexmem.now()) AS instant
)
SELECT part.element, part.name, count(*)
FROM (
    SELECT 0::smallint AS element, node.kind AS name
    FROM hexmem.graph_node AS node
    WHERE node.graph = (SELECT body FROM own) AND node.recorded_at <= $4
    UNION ALL
    SELECT 0::smallint, node.kind
    FROM hexmem.graph_node_past AS node
    WHERE node.graph = (SELECT body FROM own) AND node.recorded_at <= $4 AND node.superseded_at > $4
    UNION ALL
    SELECT 1::smallint, edge.relation
    FROM hexmem.graph_edge AS edge
    WHERE edge.graph = (SELECT body FROM own) AND edge.recorded_at <= $4
        AND ($2::boolean OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
            AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
    UNION ALL
    SELECT 1::smallint, edge.relation
    FROM hexmem.graph_edge_past AS edge
    WHERE edge.graph = (SELECT body FROM own) AND edge.recorded_at <= $4 AND edge.superseded_at > $4
        AND ($2 OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
            AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
) AS part
GROUP BY part.element, part.name
