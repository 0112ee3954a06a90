-- Versions of nodes that ended before an instant, of a stretch of the past: gives its end. What somebody purges meanwhile is
-- left to them: waiting for them while they wait for this one would be a circle.
WITH stretch AS MATERIALIZED (
    SELECT past.id, past.version, past.superseded_at
    FROM hexmem.graph_node_past AS past
    WHERE past.graph = $1 AND (past.id, past.version) > ($2, $3)
    ORDER BY past.id, past.version
    LIMIT $4
), free AS MATERIALIZED (
    SELECT past.id, past.version
    FROM stretch
    JOIN hexmem.graph_node_past AS past
        ON past.graph = $1 AND past.id = stretch.id AND past.version = stretch.version
    WHERE stretch.superseded_at < $5
    FOR UPDATE OF past SKIP LOCKED
), gone AS (
    DELETE FROM hexmem.graph_node_past AS past
    USING free
    WHERE past.graph = $1 AND past.id = free.id AND past.version = free.version
)
SELECT id, version FROM stretch ORDER BY id DESC, version DESC LIMIT 1
