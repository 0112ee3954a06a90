-- Counts, and what could be served: exact, at the cost of a look at each answer that has the namespace's generation. The
-- few generations that these share are each looked up once.
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
)
SELECT
    (
        SELECT c.counts::text
        FROM hexmem.cache_counters AS c
        WHERE c.room = $1 AND c.kind = 'namespace' AND c.name = ''
    ),
    count(*),
    coalesce(sum(bound.bytes), 0)::bigint
FROM bound
WHERE NOT bound.generations && (SELECT outdated.generations FROM outdated)
