-- The last version of each node of a JSON array of ids, ended or not: one seek each.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM json_each(?2) AS given
JOIN graph_node AS node ON node.row = (
    SELECT row FROM graph_node WHERE graph = ?1 AND id = CAST(given.value AS BLOB) ORDER BY version DESC LIMIT 1
)
