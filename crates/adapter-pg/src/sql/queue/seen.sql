-- Whether a reader may see a command of this id.
SELECT hexmem.queue_seen(queue, $2, hexmem.now()) FROM hexmem.queue WHERE queue_hash = $1
