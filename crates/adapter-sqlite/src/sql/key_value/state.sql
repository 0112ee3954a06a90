-- What is there, dead or alive, without reading the value.
SELECT version, modified_at, expires_at, deleted_at
FROM key_value
WHERE bucket = (SELECT id FROM kv_bucket WHERE digest = ?1) AND key = ?2
