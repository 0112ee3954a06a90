-- Answers that the log no longer retains, of a stretch of ids: gives its end. An array, so that each is sought by its key
-- however many the planner takes them for.
WITH stretch AS MATERIALIZED (
    SELECT id, revision FROM hexmem.graph_batch
    WHERE graph = $1 AND id >= COALESCE($2::uuid, '00000000-0000-0000-0000-000000000000') AND id IS DISTINCT FROM $2
    ORDER BY id
    LIMIT $3
), gone AS (
    DELETE FROM hexmem.graph_batch
    WHERE graph = $1 AND id = ANY (ARRAY(SELECT id FROM stretch WHERE revision <= $4))
)
SELECT id FROM stretch ORDER BY id DESC LIMIT 1
