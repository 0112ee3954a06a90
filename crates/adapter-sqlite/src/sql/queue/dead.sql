-- A page of dead letters, by id.
SELECT c.*, b.payload, b.headers
FROM queue_command AS c
JOIN queue_body AS b ON b.row = c.row
WHERE c.queue = (SELECT queue FROM queue WHERE queue_hash = ?1) AND c.stage = 5 AND c.id > ?2
ORDER BY c.id
LIMIT ?3
