-- How new what is held under an id is.
SELECT version, modified_at FROM hexmem.queue_any WHERE queue = $1 AND id = $2
