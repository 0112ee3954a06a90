-- The revision that readers see, and that somebody waits for another one. Written anew when half of the time is over:
-- waiting is not a write for each look. What is written waits for a batch under way, and then tells what it made.
WITH watch AS (
    UPDATE hexmem.graph
    SET watched_until = hexmem.later(hexmem.now(), $2)
    WHERE digest = $1
        AND (watched_until IS NULL OR watched_until < hexmem.later(hexmem.now(), $2 / 2))
    RETURNING CASE WHEN created_at IS NOT NULL AND deleted_at IS NULL THEN revision ELSE 0 END AS revision
)
SELECT COALESCE(
    (SELECT revision FROM watch),
    CASE WHEN created_at IS NOT NULL AND deleted_at IS NULL THEN revision ELSE 0 END
)
FROM hexmem.graph
WHERE digest = $1
