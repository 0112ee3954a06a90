-- The versions that the entries made. Purged ones are missing, also where the id was used again later.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data, log.revision, log.place
FROM graph_log AS log
CROSS JOIN graph_node AS node
    ON node.graph = log.graph AND node.id = log.element AND node.version = log.version
        AND node.revision = log.revision
WHERE log.graph = ?1 AND log.revision > ?2 AND log.revision <= ?3 AND log.kind = 0
