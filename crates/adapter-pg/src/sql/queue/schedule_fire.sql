-- The compare-and-set of a firing: one of many instances moves the version.
UPDATE hexmem.queue_schedule SET
    version = version + 1, next_at = $4, put_over = NULL, modified_at = hexmem.now()
WHERE queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND name_hash = $2 AND version = $3
    AND next_at <= hexmem.now() AND deleted_at IS NULL
