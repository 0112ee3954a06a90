-- Each name that was counted, in bytewise order, with what could be served of it; those without a name last. One walk over
-- the answers of the namespace, whatever the number of names.
WITH bound AS MATERIALIZED (
    SELECT e.tags, e.generations, octet_length(e.value) AS bytes
    FROM hexmem.cache_entries AS e
    WHERE e.generations @> (SELECT ARRAY[t.generation] FROM hexmem.cache_tags AS t WHERE t.digest = $2)
        AND e.room = $1 AND e.expires_at > (SELECT hexmem.now())
),
outdated AS (
    SELECT coalesce(array_agg(pair.generation), '{}') AS generations
    FROM (
        SELECT DISTINCT u.tag, u.generation
        FROM bound
        CROSS JOIN LATERAL unnest(bound.tags, bound.generations) AS u (tag, generation)
    ) AS pair
    WHERE NOT EXISTS (
        SELECT
        FROM hexmem.cache_tags AS t
        WHERE t.generation = pair.generation AND t.room = $1 AND t.tag = pair.tag
    )
),
held AS (
    SELECT u.tag, count(*) AS entries, sum(bound.bytes) AS bytes
    FROM bound
    CROSS JOIN LATERAL unnest(bound.tags) AS u (tag)
    WHERE NOT bound.generations && (SELECT outdated.generations FROM outdated)
    GROUP BY u.tag
)
SELECT c.name, c.counts::text, coalesce(held.entries, 0), coalesce(held.bytes, 0)::bigint
FROM hexmem.cache_counters AS c
LEFT JOIN held ON c.name <> '' AND held.tag = c.kind || ':' || c.name
WHERE c.room = $1 AND c.kind = $3
ORDER BY c.name = '', c.name
