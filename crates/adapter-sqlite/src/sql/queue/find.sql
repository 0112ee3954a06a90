-- A queue by its address.
SELECT * FROM queue WHERE queue_hash = ?1
