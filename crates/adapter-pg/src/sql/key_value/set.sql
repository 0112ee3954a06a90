-- A function: the key is locked first, and what follows sees what is there then. One round trip.
SELECT written, version
FROM hexmem.kv_set(hexmem.kv_bucket_id($1, $2, $3), $4, $5, $6, $7, $8, $9, $10)
