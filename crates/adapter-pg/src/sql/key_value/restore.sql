-- Newer by version, then by time of change, replaces what is there; decided under the lock of the row.
INSERT INTO hexmem.key_value AS held (bucket, key, version, modified_at, expires_at, deleted_at, free_at, value)
VALUES (hexmem.kv_bucket_id($1, $2, $3), $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (bucket, key) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at, expires_at = excluded.expires_at,
    deleted_at = excluded.deleted_at, free_at = excluded.free_at, value = excluded.value
WHERE (excluded.version, excluded.modified_at) > (held.version, held.modified_at)
