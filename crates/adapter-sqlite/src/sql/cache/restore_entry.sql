-- An entry as its record has it, invalidation included.
INSERT INTO cache_entry
    (digest, room, fingerprint, version, modified_at, invalidation, remembered_until, stored_at, fresh_until,
     expires_at, size, meta, value)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (digest) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at, invalidation = excluded.invalidation,
    remembered_until = excluded.remembered_until, stored_at = excluded.stored_at,
    fresh_until = excluded.fresh_until, expires_at = excluded.expires_at, size = excluded.size,
    meta = excluded.meta, value = excluded.value
RETURNING id
