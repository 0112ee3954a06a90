-- Queues in which time has changed something: one look into the index for each.
SELECT q.queue FROM queue AS q
WHERE EXISTS (SELECT 1 FROM queue_command AS c WHERE c.queue = q.queue AND c.due_at <= ?1)
LIMIT ?2
