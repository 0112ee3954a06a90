-- Counts of a queue whose due changes were settled before.
SELECT
    (SELECT count(*) FROM queue_command WHERE queue = q.queue AND stage = 0) AS ready,
    (SELECT count(*) FROM queue_command
        WHERE queue = q.queue AND stage = 2 AND group_hash IS NOT NULL AND ready_at <= ?2) AS blocked,
    (SELECT count(*) FROM queue_command
        WHERE queue = q.queue AND stage = 2 AND group_hash IS NOT NULL AND ready_at > ?2) AS blocked_late,
    (SELECT count(*) FROM queue_command
        WHERE queue = q.queue AND due_at IS NOT NULL AND stage = 1) AS parked,
    (SELECT count(*) FROM queue_command WHERE queue = q.queue AND stage = 3) AS in_flight,
    (SELECT count(*) FROM queue_command WHERE queue = q.queue AND stage = 5) AS dead,
    (SELECT count(*) FROM queue_command
        WHERE queue = q.queue AND free_at > ?2 AND stage IN (4, 6)) AS results,
    (SELECT min(ready_at) FROM queue_command WHERE queue = q.queue AND stage = 0) AS oldest_ready,
    (SELECT min(ready_at) FROM queue_command
        WHERE queue = q.queue AND stage = 2 AND group_hash IS NOT NULL) AS oldest_blocked,
    (SELECT count(*) FROM queue_worker
        WHERE queue = q.queue AND (seen_at > ?3 OR waits_until > ?2)) AS consumers
FROM queue AS q
WHERE q.queue_hash = ?1
