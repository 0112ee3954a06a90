-- The groups of a list, in one order.
SELECT hexmem.queue_lock_groups($1, $2)
