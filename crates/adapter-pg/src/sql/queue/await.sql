-- Somebody waits for the end of a command: whoever ends it tells. Once for each command, and no index is touched.
UPDATE hexmem.queue_command SET awaited = true
WHERE queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND id = $2 AND NOT awaited
