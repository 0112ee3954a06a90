-- The queues of a tenant that hold something, each test one look into an index.
SELECT q.name FROM hexmem.queue AS q
WHERE q.tenant = $1 AND q.name > $2 AND q.name >= $3 AND q.name <= $4
    AND (
        q.max_in_flight IS NOT NULL OR q.rate_count IS NOT NULL
        OR EXISTS (
            SELECT 1 FROM hexmem.queue_schedule AS s WHERE s.queue = q.queue AND s.deleted_at IS NULL)
        OR EXISTS (SELECT 1 FROM hexmem.queue_command AS c WHERE c.queue = q.queue)
        OR EXISTS (SELECT 1 FROM hexmem.queue_ended AS e WHERE e.queue = q.queue AND e.stage = 5)
        OR EXISTS (
            SELECT 1 FROM hexmem.queue_ended AS e
            WHERE e.queue = q.queue AND e.free_at > hexmem.now() AND e.stage IN (4, 6)))
ORDER BY q.name
LIMIT $5
