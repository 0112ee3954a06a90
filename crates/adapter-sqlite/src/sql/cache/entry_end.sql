-- A tombstone: frees the answer and remembers the invalidation.
INSERT INTO cache_entry
    (digest, room, fingerprint, version, modified_at, invalidation, remembered_until)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (digest) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at,
    invalidation = excluded.invalidation, remembered_until = excluded.remembered_until,
    stored_at = NULL, fresh_until = NULL, expires_at = NULL, size = NULL, meta = NULL, value = NULL
RETURNING id
