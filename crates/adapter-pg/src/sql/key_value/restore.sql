-- Many records in one statement, in the order of their keys. Newer by version, then by time of change, replaces what is
-- there; decided under the lock of the row. No key comes twice. What was written comes back.
INSERT INTO hexmem.key_value AS held (bucket, key, version, modified_at, expires_at, deleted_at, free_at, value)
SELECT bucket.id, given.key, given.version, given.modified_at,
    given.expires_at, given.deleted_at, given.free_at, given.value
FROM unnest($1::bytea[], $2::text[], $3::int8[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[], $8::bytea[])
    AS given (digest, key, version, modified_at, expires_at, deleted_at, free_at, value)
JOIN hexmem.kv_bucket AS bucket ON bucket.digest = given.digest
ORDER BY bucket.id, given.key COLLATE "C"
ON CONFLICT (bucket, key) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at, expires_at = excluded.expires_at,
    deleted_at = excluded.deleted_at, free_at = excluded.free_at, value = excluded.value
WHERE (excluded.version, excluded.modified_at) > (held.version, held.modified_at)
RETURNING (SELECT digest FROM hexmem.kv_bucket WHERE id = held.bucket), held.key
