-- Answers, last invalidations and the generations of the tags that the lookup names, all of one snapshot; a row for each
-- key. Mostly an answer has just those tags and generations; where it has others, each of its own is looked up. A ticket
-- is stamped with the start of the transaction: no invalidation can come between that and the snapshot. Tags are looked up
-- in scalar subqueries: as a join they were hashed, all of them, for the sake of three.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now, hexmem.now() - (clock_timestamp() - transaction_timestamp()) AS issued
),
known AS MATERIALIZED (
    SELECT ARRAY(
        SELECT (SELECT t.generation FROM hexmem.cache_tags AS t WHERE t.digest = asked.digest)
        FROM unnest($2::bytea[]) WITH ORDINALITY AS asked (digest, place)
        ORDER BY asked.place
    ) AS generations
)
SELECT
    asked.place,
    at.now,
    at.issued,
    CASE WHEN asked.place = 1 THEN known.generations END,
    CASE WHEN e.remembered_until > at.now THEN e.invalidation END,
    CASE WHEN held.servable THEN e.stored_at END,
    CASE WHEN held.servable THEN e.fresh_until END,
    CASE WHEN held.servable THEN e.expires_at END,
    CASE WHEN held.servable THEN e.meta END,
    CASE WHEN held.servable THEN e.value END
FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (digest, place)
CROSS JOIN at
CROSS JOIN known
LEFT JOIN hexmem.cache_entries AS e ON e.digest = asked.digest
LEFT JOIN LATERAL (
    SELECT CASE
        WHEN e.expires_at IS NULL OR e.expires_at <= at.now THEN false
        WHEN e.tags = $3::text[] AND e.generations = known.generations THEN true
        ELSE NOT EXISTS (
            SELECT
            FROM unnest(e.tags, e.generations) AS bound (tag, generation)
            WHERE 0 = (
                SELECT count(*)
                FROM hexmem.cache_tags AS t
                WHERE t.generation = bound.generation AND t.room = e.room AND t.tag = bound.tag
            )
        )
    END AS servable
    -- Decided once, not once for each column.
    OFFSET 0
) AS held ON true
