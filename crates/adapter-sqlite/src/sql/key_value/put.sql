-- Over what is there, dead or alive: the row keeps its place in the index.
INSERT INTO key_value (bucket, key, version, modified_at, expires_at, deleted_at, free_at, value)
VALUES ((SELECT id FROM kv_bucket WHERE digest = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (bucket, key) DO UPDATE SET
    version = excluded.version,
    modified_at = excluded.modified_at,
    expires_at = excluded.expires_at,
    deleted_at = excluded.deleted_at,
    free_at = excluded.free_at,
    value = excluded.value
