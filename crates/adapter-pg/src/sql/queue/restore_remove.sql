-- What is held under an id makes way.
WITH live AS (DELETE FROM hexmem.queue_command WHERE queue = $1 AND id = $2)
DELETE FROM hexmem.queue_ended WHERE queue = $1 AND id = $2
