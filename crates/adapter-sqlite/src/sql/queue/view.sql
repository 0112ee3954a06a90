-- A command with its payload.
SELECT c.*, b.payload, b.headers
FROM queue_command AS c
JOIN queue_body AS b ON b.row = c.row
WHERE c.queue = (SELECT queue FROM queue WHERE queue_hash = ?1) AND c.id = ?2
