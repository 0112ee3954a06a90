-- What an enqueue must know of ids that are there: whether a reader may see each, and its version.
SELECT id, row, version, deleted_at IS NULL AND (free_at IS NULL OR free_at > ?3) AS seen
FROM queue_command WHERE queue = ?1 AND id IN (SELECT unhex(value) FROM json_each(?2))
