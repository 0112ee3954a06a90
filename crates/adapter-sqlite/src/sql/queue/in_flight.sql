-- For queues with a cap only: how many are held. All leases that ran out were settled before.
SELECT count(*) FROM queue_command WHERE queue = ?1 AND stage = 3
