-- A page of schedules, by name.
SELECT * FROM queue_schedule
WHERE queue = (SELECT queue FROM queue WHERE queue_hash = ?1) AND name > ?2 AND deleted_at IS NULL
ORDER BY name
LIMIT ?3
