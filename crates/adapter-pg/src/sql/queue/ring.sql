-- Who waits at the queue looks again.
SELECT hexmem.queue_ring(queue, queue_hash) FROM hexmem.queue WHERE queue_hash = $1
