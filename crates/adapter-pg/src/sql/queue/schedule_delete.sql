-- A tombstone, so that versions go on and a copy does not bring it back.
UPDATE hexmem.queue_schedule SET version = version + 1, put_over = NULL, modified_at = t.now, deleted_at = t.now
FROM (SELECT hexmem.now() AS now) AS t
WHERE queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND name_hash = $2 AND deleted_at IS NULL
