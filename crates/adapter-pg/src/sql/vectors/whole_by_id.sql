-- Whole points by id. Dense vectors come along as lists: one row a point.
SELECT p.ord, p.id, p.version, p.modified_at, p.payload::text, p.sparse, d.channels, d.embeddings
FROM hexmem.vector_points p
CROSS JOIN LATERAL (
    SELECT array_agg(d.channel) AS channels, array_agg(d.embedding) AS embeddings
    FROM hexmem.vector_dense d
    WHERE d.collection = p.collection AND d.channel = ANY (ARRAY(SELECT generate_series(1, $2::smallint)))
        AND d.ord = p.ord
) d
WHERE p.collection = $1 AND p.id = ANY ($3)
