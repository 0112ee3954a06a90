-- All versions of a node, newest first: the current one and a keyset over the past.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
)
SELECT * FROM (
    SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, NULL::timestamptz AS superseded_at, node.data
    FROM hexmem.graph_node AS node
    WHERE node.graph = (SELECT body FROM own) AND node.id = $2 AND node.version < $3
    UNION ALL
    (
        SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
        FROM hexmem.graph_node_past AS node
        WHERE node.graph = (SELECT body FROM own) AND node.id = $2 AND node.version < $3
        ORDER BY node.version DESC
        LIMIT $4
    )
) AS node
ORDER BY node.version DESC
LIMIT $4
