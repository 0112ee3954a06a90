-- A page of schedules, by name.
SELECT hexmem.now() AS now, s.* FROM hexmem.queue_schedule AS s
WHERE s.queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND s.name > $2 AND s.deleted_at IS NULL
ORDER BY s.name
LIMIT $3
