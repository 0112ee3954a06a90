-- Edges at given nodes in order of id: for each node and way its first ones. What leaves a given node and enters another is
-- taken once, where it leaves.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
), at AS (
    SELECT COALESCE($8::timestamptz, hexmem.now()) AS instant
)
SELECT * FROM (
    SELECT edge.*
    FROM (SELECT DISTINCT unnest($10::text[]) AS id WHERE $11::boolean) AS given
    CROSS JOIN LATERAL (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
        FROM hexmem.graph_edge AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.src = given.id AND edge.id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000')
            AND edge.id IS DISTINCT FROM $2
            AND ($9::timestamptz IS NULL OR edge.recorded_at <= $9)
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
            AND ($7::boolean OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
                AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
        ORDER BY edge.id
        LIMIT $3
    ) AS edge
    UNION ALL
    SELECT edge.*
    FROM (SELECT DISTINCT unnest($10::text[]) AS id WHERE $12::boolean) AS given
    CROSS JOIN LATERAL (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
        FROM hexmem.graph_edge AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.dst = given.id
            AND NOT ($11 AND edge.src = ANY ($10)) AND edge.id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000')
            AND edge.id IS DISTINCT FROM $2
            AND ($9::timestamptz IS NULL OR edge.recorded_at <= $9)
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
            AND ($7::boolean OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
                AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
        ORDER BY edge.id
        LIMIT $3
    ) AS edge
    UNION ALL
    SELECT edge.*
    FROM (SELECT DISTINCT unnest($10::text[]) AS id WHERE $11) AS given
    CROSS JOIN LATERAL (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
        FROM hexmem.graph_edge_past AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.src = given.id AND edge.id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000')
            AND edge.id IS DISTINCT FROM $2
            AND $9 IS NOT NULL AND edge.recorded_at <= $9 AND edge.superseded_at > $9
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
            AND ($7::boolean OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
                AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
        ORDER BY edge.id
        LIMIT $3
    ) AS edge
    UNION ALL
    SELECT edge.*
    FROM (SELECT DISTINCT unnest($10::text[]) AS id WHERE $12) AS given
    CROSS JOIN LATERAL (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
        FROM hexmem.graph_edge_past AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.dst = given.id
            AND NOT ($11 AND edge.src = ANY ($10)) AND edge.id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000')
            AND edge.id IS DISTINCT FROM $2
            AND $9 IS NOT NULL AND edge.recorded_at <= $9 AND edge.superseded_at > $9
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
            AND ($7::boolean OR ((edge.valid_from IS NULL OR edge.valid_from <= (SELECT instant FROM at))
                AND (edge.valid_until IS NULL OR edge.valid_until > (SELECT instant FROM at))))
        ORDER BY edge.id
        LIMIT $3
    ) AS edge
) AS edge
ORDER BY edge.id
LIMIT $3
