-- One seek for each id. $3 is the recorded time, NULL for the present; $4 whether every valid time will do; $5 the valid
-- time, NULL for the present.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
), at AS (
    SELECT COALESCE($5::timestamptz, hexmem.now()) AS instant
)
SELECT given.place, edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
FROM unnest($2::uuid[]) WITH ORDINALITY AS given (id, place)
JOIN hexmem.graph_edge AS edge ON edge.graph = (SELECT body FROM own) AND edge.id = given.id
WHERE ($3::timestamptz IS NULL OR edge.recorded_at <= $3)
    AND ($4::boolean OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
        AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
UNION ALL
SELECT given.place, edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
FROM unnest($2::uuid[]) WITH ORDINALITY AS given (id, place)
JOIN hexmem.graph_edge_past AS edge ON edge.graph = (SELECT body FROM own) AND edge.id = given.id
WHERE $3 IS NOT NULL AND edge.recorded_at <= $3 AND edge.superseded_at > $3
    AND ($4 OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
        AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
