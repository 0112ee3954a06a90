-- The position comes back with each row. ?3 is the recorded time, NULL for the present: then the last version is
-- the first one looked at.
SELECT node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data, given.key
FROM json_each(?2) AS given
JOIN graph_node AS node ON node.row = (
    SELECT row FROM graph_node
    WHERE graph = ?1 AND id = CAST(given.value AS BLOB)
        AND (superseded_at IS NULL OR superseded_at > ?3)
        AND (?3 IS NULL OR recorded_at <= ?3)
    ORDER BY version DESC
    LIMIT 1
)
