-- Every edge that was ever at one of the nodes of a JSON array: what a purge takes along.
SELECT edge.id FROM json_each(?2) AS given
JOIN graph_edge AS edge ON edge.graph = ?1 AND edge.src = CAST(given.value AS BLOB)
UNION
SELECT edge.id FROM json_each(?2) AS given
JOIN graph_edge AS edge ON edge.graph = ?1 AND edge.dst = CAST(given.value AS BLOB)
