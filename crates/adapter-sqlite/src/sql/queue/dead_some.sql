-- Those of a list of ids that are dead letters, the oldest enqueue first.
SELECT * FROM queue_command
WHERE queue = ?1 AND stage = 5 AND id IN (SELECT unhex(value) FROM json_each(?2))
ORDER BY sequence
