-- The compare-and-set of a firing: one of many instances moves the version.
UPDATE queue_schedule SET version = version + 1, next_at = ?5, put_over = NULL, modified_at = ?4
WHERE queue = ?1 AND name = ?2 AND version = ?3 AND next_at <= ?4 AND deleted_at IS NULL
