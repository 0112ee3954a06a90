-- The last version of each edge of a JSON array of hex ids, ended or not: one seek each.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM json_each(?2) AS given
JOIN graph_edge AS edge ON edge.row = (
    SELECT row FROM graph_edge WHERE graph = ?1 AND id = unhex(given.value) ORDER BY version DESC LIMIT 1
)
