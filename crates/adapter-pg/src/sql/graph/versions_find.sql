-- All versions of all edges: a keyset on id and version over what is current and one over the past.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
)
SELECT * FROM (
    (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, NULL::timestamptz AS superseded_at, edge.data
        FROM hexmem.graph_edge AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.id >= $2 AND (edge.id > $2 OR edge.version > $7::bigint)
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
        ORDER BY edge.id, edge.version
        LIMIT $3
    )
    UNION ALL
    (
        SELECT edge.id, edge.version, edge.src, edge.relation, edge.dst, edge.weight, edge.valid_from, edge.valid_until,
        edge.source, edge.created_at, edge.recorded_at, edge.superseded_at, edge.data
        FROM hexmem.graph_edge_past AS edge
        WHERE edge.graph = (SELECT body FROM own) AND edge.id >= $2 AND (edge.id > $2 OR edge.version > $7::bigint)
            AND ($4::text[] IS NULL OR edge.relation = ANY ($4))
            AND ($5::double precision IS NULL OR edge.weight >= $5)
            AND ($6::text[] IS NULL OR edge.source = ANY ($6))
        ORDER BY edge.id, edge.version
        LIMIT $3
    )
) AS edge
ORDER BY edge.id, edge.version
LIMIT $3
