-- The queues of a tenant that hold something, each test one look into an index. A blocked command has an
-- unfinished head, so the blocked need no test of their own. The upper bound is bytes that need not be UTF-8.
SELECT name FROM queue AS q
WHERE tenant = ?1 AND name > ?2 AND name >= ?3 AND name < CAST(?4 AS TEXT)
    AND (
        max_in_flight IS NOT NULL OR rate_count IS NOT NULL
        OR EXISTS (SELECT 1 FROM queue_schedule AS s WHERE s.queue = q.queue AND deleted_at IS NULL)
        OR EXISTS (SELECT 1 FROM queue_command AS c WHERE c.queue = q.queue AND stage = 0)
        OR EXISTS (SELECT 1 FROM queue_command AS c WHERE c.queue = q.queue AND due_at IS NOT NULL)
        OR EXISTS (SELECT 1 FROM queue_command AS c WHERE c.queue = q.queue AND stage = 5)
        OR EXISTS (
            SELECT 1 FROM queue_command AS c
            WHERE c.queue = q.queue AND free_at > ?5 AND stage IN (4, 6)))
ORDER BY name
LIMIT ?6
