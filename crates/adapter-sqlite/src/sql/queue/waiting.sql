-- Whether a worker waits at the queue.
SELECT EXISTS (SELECT 1 FROM queue_worker WHERE queue = ?1 AND waits_until > ?2)
