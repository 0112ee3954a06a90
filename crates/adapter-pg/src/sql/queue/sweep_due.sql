-- Queues in which time has changed something: one look into the index for each.
SELECT q.queue FROM hexmem.queue AS q
WHERE EXISTS (
    SELECT 1 FROM hexmem.queue_command AS c
    WHERE c.queue = q.queue AND c.stage = ANY ('{0,1,2,3,8}') AND c.due_at <= hexmem.now())
LIMIT $1
