-- What the first use of a queue, a priority or groups writes, committed apart from a caller's transaction.
SELECT FROM hexmem.queue_prepare($1, $2, $3, $4, $5)
