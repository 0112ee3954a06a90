-- A command with its result.
SELECT c.*, r.result
FROM queue_command AS c
LEFT JOIN queue_result AS r ON r.row = c.row
WHERE c.queue = (SELECT queue FROM queue WHERE queue_hash = ?1) AND c.id = ?2
