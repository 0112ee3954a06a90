-- A worker was here, and perhaps waits until an instant.
INSERT INTO queue_worker (queue, worker, seen_at, waits_until) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (queue, worker) DO UPDATE SET seen_at = excluded.seen_at, waits_until = excluded.waits_until
