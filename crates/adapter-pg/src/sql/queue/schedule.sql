-- One schedule, deleted or not, locked: it changes one step at a time.
SELECT hexmem.now() AS now, s.* FROM hexmem.queue_schedule AS s
WHERE s.queue = $1 AND s.name_hash = $2
FOR UPDATE
