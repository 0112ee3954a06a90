-- Workers that nobody counts any more; the queue remembers when the last of them was seen.
WITH gone AS (
    DELETE FROM hexmem.queue_worker AS w
    WHERE w.seen_at <= hexmem.now() - $1 * interval '1 microsecond'
        AND (w.waits_until IS NULL OR w.waits_until <= hexmem.now())
    RETURNING w.queue, w.seen_at),
last AS (SELECT queue, max(seen_at) AS seen_at FROM gone GROUP BY queue)
UPDATE hexmem.queue AS q SET consumer_seen_at = GREATEST(q.consumer_seen_at, last.seen_at)
FROM last WHERE q.queue = last.queue
