-- Where a lease may start to look, by priority.
SELECT priority, lowest, given FROM hexmem.queue_floors($1, $2, $3)
