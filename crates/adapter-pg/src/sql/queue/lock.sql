-- A queue under its row lock: limits and schedules change one at a time.
SELECT * FROM hexmem.queue WHERE queue = $1 FOR UPDATE
