-- Only after the state showed that it is live.
SELECT value
FROM key_value
WHERE bucket = (SELECT id FROM kv_bucket WHERE digest = ?1) AND key = ?2
