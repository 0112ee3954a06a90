-- Records of remembered keys.
SELECT q.tenant, q.name AS queue_name, d.*
FROM hexmem.queue_dedupe AS d
JOIN hexmem.queue AS q ON q.queue = d.queue
WHERE (d.queue, d.key_hash) > ($1, $2)
ORDER BY d.queue, d.key_hash
LIMIT $3
