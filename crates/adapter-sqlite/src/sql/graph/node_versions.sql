-- Every version of each node of a JSON array of ids, oldest first within a node.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM json_each(?2) AS given
CROSS JOIN graph_node AS node ON node.graph = ?1 AND node.id = CAST(given.value AS BLOB)
ORDER BY given.key, node.version
