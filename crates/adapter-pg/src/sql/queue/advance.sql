-- Who is the head of a group, after a step.
SELECT hexmem.queue_advance($1, $2, hexmem.now())
