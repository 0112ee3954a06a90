-- Tombstones of schedules whose time is over. Few: no index.
DELETE FROM hexmem.queue_schedule WHERE ctid = ANY (ARRAY(
    SELECT s.ctid FROM hexmem.queue_schedule AS s
    WHERE s.deleted_at <= hexmem.now() - $2 * interval '1 microsecond' LIMIT $1 FOR UPDATE SKIP LOCKED))
