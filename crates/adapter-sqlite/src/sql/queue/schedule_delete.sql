-- A tombstone, so that versions go on and a copy does not bring it back.
UPDATE queue_schedule SET version = version + 1, put_over = NULL, modified_at = ?3, deleted_at = ?3
WHERE queue = ?1 AND name = ?2 AND deleted_at IS NULL
