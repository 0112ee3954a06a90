-- Every dead letter, the oldest enqueue first.
SELECT * FROM queue_command WHERE queue = ?1 AND stage = 5
ORDER BY sequence
