-- One schedule, deleted or not.
SELECT * FROM queue_schedule WHERE queue = ?1 AND name = ?2
