-- Records of limits.
SELECT * FROM hexmem.queue
WHERE queue > $1 AND limits_version > 0
ORDER BY queue
LIMIT $2
