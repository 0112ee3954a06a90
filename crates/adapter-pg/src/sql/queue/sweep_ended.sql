-- Results and tombstones whose time is over, past those that another sweeper has in hand.
DELETE FROM hexmem.queue_ended WHERE ctid = ANY (ARRAY(
    SELECT e.ctid FROM hexmem.queue AS q CROSS JOIN LATERAL (
        SELECT o.ctid FROM hexmem.queue_ended AS o
        WHERE o.queue = q.queue AND o.free_at <= hexmem.now() LIMIT $1 FOR UPDATE SKIP LOCKED) AS e
    LIMIT $1))
