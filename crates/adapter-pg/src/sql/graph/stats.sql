-- Current nodes by type and edges by relation: as they are counted with each batch, less the edges that do not hold at $3
-- (NULL: now), unless every valid time ($2) will do. Only edges with a bound are looked at.
WITH own AS (
    SELECT body FROM hexmem.graph WHERE digest = $1 AND created_at IS NOT NULL AND deleted_at IS NULL
), at AS (
    SELECT COALESCE($3::timestamptz, hexmem.now()) AS instant
)
SELECT element, name, sum(n)::bigint
FROM (
    SELECT count.element, count.name, count.n
    FROM hexmem.graph_count AS count
    WHERE count.graph = (SELECT body FROM own)
    UNION ALL
    SELECT 1::smallint, edge.relation, -count(*)
    FROM hexmem.graph_edge AS edge
    WHERE edge.graph = (SELECT body FROM own) AND NOT $2::boolean
        AND (edge.valid_from IS NOT NULL OR edge.valid_until IS NOT NULL)
        AND (edge.valid_from > (SELECT instant FROM at) OR edge.valid_until <= (SELECT instant FROM at))
    GROUP BY edge.relation
) AS part
GROUP BY element, name
HAVING sum(n) > 0
