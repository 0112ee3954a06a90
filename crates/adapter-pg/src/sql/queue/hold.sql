-- A command under its locks, for a step of the shared state machine. The present is read after the locks.
SELECT hexmem.now() AS now, held.* FROM hexmem.queue_hold($1, $2) AS held
