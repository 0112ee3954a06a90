-- Records of schedules, tombstones included.
SELECT q.tenant, q.name AS queue_name, s.*
FROM queue_schedule AS s
JOIN queue AS q ON q.queue = s.queue
WHERE (s.queue, s.name) > (?1, ?2)
ORDER BY s.queue, s.name
LIMIT ?3
