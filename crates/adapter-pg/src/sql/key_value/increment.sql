-- A function: read, add and write under the lock of the key.
SELECT outcome, total
FROM hexmem.kv_increment(hexmem.kv_bucket_id($1, $2, $3), $4, $5, $6, $7, $8)
