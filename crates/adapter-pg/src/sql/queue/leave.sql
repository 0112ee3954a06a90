-- A worker that waited goes on to other things: an enqueue need not tell it.
UPDATE hexmem.queue_worker SET waits_until = NULL
WHERE queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND worker_hash = sha256(convert_to($2, 'UTF8'))
    AND waits_until IS NOT NULL
