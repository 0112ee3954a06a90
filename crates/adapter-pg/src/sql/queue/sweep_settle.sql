-- What time has changed in one queue, a bounded number.
SELECT hexmem.queue_settle($1, '-infinity', $2)
