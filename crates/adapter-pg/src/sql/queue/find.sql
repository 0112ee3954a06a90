-- A queue by its address.
SELECT * FROM hexmem.queue WHERE queue_hash = $1
