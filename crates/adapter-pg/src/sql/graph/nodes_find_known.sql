-- As known at $7: keysets on id over what is current and over the past.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
)
SELECT * FROM (
    (
        SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, NULL::timestamptz AS superseded_at, node.data
        FROM hexmem.graph_node AS node
        WHERE node.graph = (SELECT body FROM own) AND node.id > $2 AND node.id >= $3 AND node.id <= $4
            AND node.recorded_at <= $7 AND ($6::text[] IS NULL OR node.kind = ANY ($6))
        ORDER BY node.id
        LIMIT $5
    )
    UNION ALL
    (
        SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
        FROM hexmem.graph_node_past AS node
        WHERE node.graph = (SELECT body FROM own) AND node.id > $2 AND node.id >= $3 AND node.id <= $4
            AND node.recorded_at <= $7 AND node.superseded_at > $7 AND ($6 IS NULL OR node.kind = ANY ($6))
        ORDER BY node.id
        LIMIT $5
    )
) AS node
ORDER BY node.id
LIMIT $5
