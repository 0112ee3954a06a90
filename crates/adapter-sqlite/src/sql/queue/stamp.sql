-- What an enqueue must know of an id that is there: whether a reader may see it, and its version.
SELECT row, version, deleted_at IS NULL AND (free_at IS NULL OR free_at > ?3) AS seen
FROM queue_command WHERE queue = ?1 AND id = ?2
