-- All blocks of some ranges of lists in one snapshot. The first row, without a list, holds what belongs to them: the
-- removed points that they still name, and how many points have each sparse vector; it is missing where the collection
-- has another life. OFFSET 0 keeps each range one walk of the index.
SELECT NULL::bigint AS list,
    (SELECT string_agg(int4send(d.ord), ''::bytea) FROM hexmem.vector_dead d WHERE d.collection = c.id) AS block,
    c.populations
FROM hexmem.vector_collections c WHERE c.id = $1 AND c.version = $2
UNION ALL
SELECT found.list, found.block, NULL
FROM unnest($3::bigint[], $4::bigint[]) AS range (least, most)
CROSS JOIN LATERAL (
    SELECT l.list, l.block FROM hexmem.vector_lists l
    WHERE l.collection = $1 AND l.list >= range.least AND l.list <= range.most
    OFFSET 0
) found
