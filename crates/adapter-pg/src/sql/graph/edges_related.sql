-- Current edges of given relations in order of id: a keyset for each relation.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
), at AS (
    SELECT COALESCE($8::timestamptz, hexmem.now()) AS instant
)
SELECT edge.*
FROM (SELECT DISTINCT unnest($4::text[]) AS relation) AS given
CROSS JOIN LATERAL (
    SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
    FROM hexmem.graph_edge AS edge
    WHERE edge.graph = (SELECT body FROM own) AND edge.relation = given.relation AND edge.id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000')
            AND edge.id IS DISTINCT FROM $2
        AND $9::timestamptz IS NULL
        AND ($5::double precision IS NULL OR edge.weight >= $5)
        AND ($6::text[] IS NULL OR edge.source = ANY ($6))
        AND ($7::boolean OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
            AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
    ORDER BY edge.id
    LIMIT $3
) AS edge
ORDER BY edge.id
LIMIT $3
