-- All versions of edges from given sources: for each source its first ones.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
)
SELECT * FROM (
    SELECT edge.*
    FROM (SELECT DISTINCT unnest($6::text[]) AS item) AS given
    CROSS JOIN LATERAL (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
        FROM hexmem.graph_edge AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.source = given.item
            AND edge.id >= $2 AND (edge.id > $2 OR edge.version > $7::bigint)
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
        ORDER BY edge.id, edge.version
        LIMIT $3
    ) AS edge
    UNION ALL
    SELECT edge.*
    FROM (SELECT DISTINCT unnest($6::text[]) AS item) AS given
    CROSS JOIN LATERAL (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
        FROM hexmem.graph_edge_past AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.source = given.item
            AND edge.id >= $2 AND (edge.id > $2 OR edge.version > $7::bigint)
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
        ORDER BY edge.id, edge.version
        LIMIT $3
    ) AS edge
) AS edge
ORDER BY edge.id, edge.version
LIMIT $3
