-- The nearest by an index with all that a search needs of them, in one snapshot. A function finds them: the table's name
-- and type depend on the collection's number and its vector, never on a text of a user's. With fields named in $6 their
-- values come instead of the payload.
SELECT p.ord, p.id, d.embedding, CASE WHEN $6::text[] IS NULL THEN p.payload::text END,
    CASE WHEN $6 IS NOT NULL THEN
        ARRAY(SELECT (p.payload -> f.name)::text FROM unnest($6) WITH ORDINALITY f (name, at) ORDER BY f.at)
    END
FROM unnest(hexmem.vector_index_near($1, $2, $3, $4, $5)) n (ord)
JOIN hexmem.vector_points p ON p.collection = $1 AND p.ord = n.ord
JOIN hexmem.vector_dense d ON d.collection = $1 AND d.channel = $2 AND d.ord = n.ord
