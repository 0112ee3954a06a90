-- As for nodes; ?4 is the valid time, NULL for any.
SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
    edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data, given.key
FROM json_each(?2) AS given
JOIN graph_edge AS edge ON edge.row = (
    SELECT row FROM graph_edge
    WHERE graph = ?1 AND id = unhex(given.value)
        AND (superseded_at IS NULL OR superseded_at > ?3)
        AND (?3 IS NULL OR recorded_at <= ?3)
    ORDER BY version DESC
    LIMIT 1
)
WHERE (?4 IS NULL OR ((edge.valid_from IS NULL OR edge.valid_from <= ?4)
    AND (edge.valid_until IS NULL OR edge.valid_until > ?4)))
