-- Dead letters become tombstones without a payload.
UPDATE hexmem.queue_ended SET
    stage = 7, deleted_at = t.now, free_at = hexmem.later(t.now, $3), version = version + 1, modified_at = t.now,
    payload = '', headers = 'null', progress = NULL
FROM (SELECT hexmem.now() AS now) AS t
WHERE queue = (SELECT queue FROM hexmem.queue WHERE queue_hash = $1) AND stage = 5
    AND ($2::uuid[] IS NULL OR id = ANY ($2))
