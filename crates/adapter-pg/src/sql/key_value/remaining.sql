-- Without reading the value. NULL is for ever; no row is absent.
SELECT hexmem.micros(held.expires_at) - hexmem.micros(present.at)
FROM (SELECT hexmem.now() AS at) AS present
CROSS JOIN hexmem.key_value AS held
WHERE held.bucket = (SELECT id FROM hexmem.kv_bucket WHERE digest = $1)
    AND held.key = $2
    AND held.deleted_at IS NULL
    AND (held.expires_at IS NULL OR held.expires_at > present.at)
