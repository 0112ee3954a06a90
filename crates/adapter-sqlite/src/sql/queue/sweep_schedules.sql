-- Tombstones of schedules whose time is over.
DELETE FROM queue_schedule WHERE (queue, name) IN (
    SELECT queue, name FROM queue_schedule WHERE deleted_at <= ?1 LIMIT ?2)
