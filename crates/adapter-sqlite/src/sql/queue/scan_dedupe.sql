-- Records of remembered keys.
SELECT q.tenant, q.name AS queue_name, d.*
FROM queue_dedupe AS d
JOIN queue AS q ON q.queue = d.queue
WHERE (d.queue, d.key) > (?1, ?2)
ORDER BY d.queue, d.key
LIMIT ?3
