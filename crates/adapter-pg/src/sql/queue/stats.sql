-- Counts of a queue whose due changes were settled before: one pass over what is unfinished, short ranges for the rest.
SELECT hexmem.now() AS now, live.*,
    (SELECT count(*) FROM hexmem.queue_ended AS e WHERE e.queue = q.queue AND e.stage = 5) AS dead,
    (SELECT count(*) FROM hexmem.queue_ended AS e
        WHERE e.queue = q.queue AND e.free_at > hexmem.now() AND e.stage IN (4, 6)) AS results,
    (SELECT count(*) FROM hexmem.queue_worker AS w
        WHERE w.queue = q.queue AND (w.seen_at > hexmem.now() - $2 * interval '1 microsecond'
            OR w.waits_until > hexmem.now())) AS consumers
FROM hexmem.queue AS q
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE c.stage IN (0, 8) OR c.stage = 2 AND c.ready_at <= t.now) AS ready,
        count(*) FILTER (WHERE c.stage = 1 OR c.stage = 2 AND c.ready_at > t.now) AS delayed,
        count(*) FILTER (WHERE c.stage = 3) AS in_flight,
        min(c.ready_at) FILTER (WHERE c.stage IN (0, 2, 8) AND c.ready_at <= t.now) AS oldest_ready
    FROM (SELECT hexmem.now() AS now) AS t, hexmem.queue_command AS c
    WHERE c.queue = q.queue) AS live
WHERE q.queue_hash = $1
