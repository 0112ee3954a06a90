-- The heartbeat of all that a worker holds, in one round trip.
SELECT id, lease, leased_until, cancel_requested FROM hexmem.queue_extend($1, $2, $3, $4)
