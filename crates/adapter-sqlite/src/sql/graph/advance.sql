-- The graph's life after a change; the write lock is held, so nobody advances it meanwhile.
UPDATE graph
SET version = ?2, created_at = ?3, deleted_at = ?4, updated_at = ?5, revision = ?6, log_start = ?7
WHERE id = ?1
