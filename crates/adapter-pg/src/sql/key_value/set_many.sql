-- As one write, for each of the given ones.
SELECT place, written, version
FROM hexmem.kv_set_many(hexmem.kv_bucket_id($1, $2, $3), $4, $5, $6, $7, $8, $9, $10)
