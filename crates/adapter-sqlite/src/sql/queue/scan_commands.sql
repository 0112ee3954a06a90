-- Records of commands, tombstones included, by queue and id.
SELECT q.tenant, q.name, c.*, b.payload, b.headers, r.result
FROM queue_command AS c
JOIN queue AS q ON q.queue = c.queue
LEFT JOIN queue_body AS b ON b.row = c.row
LEFT JOIN queue_result AS r ON r.row = c.row
WHERE (c.queue, c.id) > (?1, ?2)
ORDER BY c.queue, c.id
LIMIT ?3
