-- Answers that the log no longer retains, of a stretch of ids: gives its end.
WITH stretch AS MATERIALIZED (
    SELECT id, revision FROM hexmem.graph_batch
    WHERE graph = $1 AND id >= COALESCE($2, '00000000-0000-0000-0000-000000000000') AND id IS DISTINCT FROM $2
    ORDER BY id
    LIMIT $3
), gone AS (
    DELETE FROM hexmem.graph_batch AS batch
    USING stretch
    WHERE batch.graph = $1 AND batch.id = stretch.id AND stretch.revision <= $4
)
SELECT id FROM stretch ORDER BY id DESC LIMIT 1
