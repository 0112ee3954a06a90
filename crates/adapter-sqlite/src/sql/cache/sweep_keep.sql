-- Those whose invalidation is still remembered become tombstones.
UPDATE cache_entry
SET stored_at = NULL, fresh_until = NULL, expires_at = NULL, size = NULL, meta = NULL, value = NULL
WHERE id IN (SELECT value FROM json_each(?1)) AND remembered_until > ?2
