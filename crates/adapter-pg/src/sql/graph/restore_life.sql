-- The life after a restore; the row is locked.
UPDATE hexmem.graph
SET version = $2, revision = $3, log_start = $4, created_at = $5, deleted_at = $6, updated_at = $7
WHERE id = $1
