-- Records of schedules, tombstones included.
SELECT hexmem.now() AS now, q.tenant, q.name AS queue_name, s.*
FROM hexmem.queue_schedule AS s
JOIN hexmem.queue AS q ON q.queue = s.queue
WHERE (s.queue, s.name_hash) > ($1, $2)
ORDER BY s.queue, s.name_hash
LIMIT $3
