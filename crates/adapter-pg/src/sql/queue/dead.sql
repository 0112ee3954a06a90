-- A page of dead letters, by id.
SELECT hexmem.now() AS now, any_.* FROM hexmem.queue_any AS any_
WHERE any_.queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND any_.stage = 5 AND any_.id > $2
ORDER BY any_.id
LIMIT $3
