-- Bounded: the write lock is held for one batch at a time.
DELETE FROM key_value
WHERE id IN (SELECT id FROM key_value WHERE free_at <= ?1 ORDER BY free_at LIMIT ?2)
