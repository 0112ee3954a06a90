-- Replaces the answer of a key and keeps its last invalidation, which tickets are still compared with.
INSERT INTO cache_entry
    (digest, room, fingerprint, version, modified_at, stored_at, fresh_until, expires_at, size, meta, value)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (digest) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at, stored_at = excluded.stored_at,
    fresh_until = excluded.fresh_until, expires_at = excluded.expires_at, size = excluded.size,
    meta = excluded.meta, value = excluded.value
RETURNING id
