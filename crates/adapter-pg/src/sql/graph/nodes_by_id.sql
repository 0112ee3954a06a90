-- One seek for each id; the place comes back with the row. $3 is the recorded time, NULL for the present: then the past is
-- not looked at.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
)
SELECT given.place, node.id, node.version, node.kind, node.created_at, node.recorded_at, NULL::timestamptz AS superseded_at, node.data
FROM unnest($2::text[]) WITH ORDINALITY AS given (id, place)
JOIN hexmem.graph_node AS node ON node.graph = (SELECT body FROM own) AND node.id = given.id
WHERE $3::timestamptz IS NULL OR node.recorded_at <= $3
UNION ALL
SELECT given.place, node.id, node.version, node.kind, node.created_at, node.recorded_at, node.superseded_at, node.data
FROM unnest($2::text[]) WITH ORDINALITY AS given (id, place)
JOIN hexmem.graph_node_past AS node ON node.graph = (SELECT body FROM own) AND node.id = given.id
WHERE $3 IS NOT NULL AND node.recorded_at <= $3 AND node.superseded_at > $3
