-- Records of commands, tombstones included, by queue and id: each table by its index, then merged.
SELECT hexmem.now() AS now, q.tenant, q.name, found.*
FROM (
    (SELECT * FROM hexmem.queue_any AS any_ WHERE any_.queue = $1 AND any_.id > $2
        ORDER BY any_.queue, any_.id LIMIT $3)
    UNION ALL
    (SELECT * FROM hexmem.queue_any AS any_ WHERE any_.queue > $1 ORDER BY any_.queue, any_.id LIMIT $3)) AS found
JOIN hexmem.queue AS q ON q.queue = found.queue
ORDER BY found.queue, found.id
LIMIT $3
