-- Current nodes of given types in order of id: a keyset for each type.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
)
SELECT node.*
FROM (SELECT DISTINCT unnest($6::text[]) AS kind) AS given
CROSS JOIN LATERAL (
    SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, NULL::timestamptz AS superseded_at, node.data
    FROM hexmem.graph_node AS node
    WHERE node.graph = (SELECT body FROM own) AND node.kind = given.kind
        AND node.id > $2 AND node.id >= $3 AND node.id <= $4
    ORDER BY node.id
    LIMIT $5
) AS node
ORDER BY node.id
LIMIT $5
