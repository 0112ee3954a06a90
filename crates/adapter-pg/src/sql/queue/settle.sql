-- What time has changed in one queue, a bounded number.
SELECT hexmem.queue_settle(queue, '-infinity', $2) FROM hexmem.queue WHERE queue_hash = $1
