-- Whether a waiting worker should try: something is ready, and when time next changes something.
SELECT
    EXISTS (SELECT 1 FROM queue_command WHERE queue = ?1 AND stage = 0) AS ready,
    (SELECT min(due_at) FROM queue_command WHERE queue = ?1 AND due_at IS NOT NULL) AS due_at
