-- Outcomes and tombstones whose time is over; bodies and results go by the foreign keys.
DELETE FROM queue_command WHERE row IN (
    SELECT c.row FROM queue AS q
    CROSS JOIN queue_command AS c ON c.queue = q.queue AND c.free_at <= ?1
    LIMIT ?2)
