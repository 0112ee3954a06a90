-- The versions that the entries made. Purged ones are missing, also where the id was used again later.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data, log.revision, log.place
FROM graph_log AS log
CROSS JOIN graph_edge AS edge
    ON edge.graph = log.graph AND edge.id = log.element AND edge.version = log.version
        AND edge.revision = log.revision
WHERE log.graph = ?1 AND log.revision > ?2 AND log.revision <= ?3 AND log.kind = 1
