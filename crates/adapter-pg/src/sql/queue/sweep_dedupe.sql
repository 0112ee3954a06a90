-- Keys whose window is over.
DELETE FROM hexmem.queue_dedupe WHERE ctid = ANY (ARRAY(
    SELECT d.ctid FROM hexmem.queue_dedupe AS d WHERE d.until <= hexmem.now() LIMIT $1 FOR UPDATE SKIP LOCKED))
