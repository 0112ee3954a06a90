-- A command with all that belongs to it, waiting, running or ended, by its id.
SELECT hexmem.now() AS now, any_.* FROM hexmem.queue_any AS any_
WHERE any_.queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND any_.id = $2
