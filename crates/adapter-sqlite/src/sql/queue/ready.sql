-- What a lease hands out: the head of the partial index, nothing is skipped over.
SELECT c.*, b.payload, b.headers
FROM queue_command AS c
JOIN queue_body AS b ON b.row = c.row
WHERE c.queue = ?1 AND c.stage = 0
ORDER BY c.priority DESC, c.sequence
LIMIT ?2
