-- Keyset on the key, which never changes. An upper bound is always given: X'FF' is above all UTF-8.
SELECT key, version, modified_at, expires_at, deleted_at, value
FROM key_value
WHERE bucket = (SELECT id FROM kv_bucket WHERE digest = ?1)
    AND key >= ?2
    AND key < ?3
    AND deleted_at IS NULL
    AND (expires_at IS NULL OR expires_at > ?4)
ORDER BY key
LIMIT ?5
