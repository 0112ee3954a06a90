-- A restore may have put a command before the head of its group: all wait, then the head is chosen anew.
UPDATE queue_command SET stage = 2, due_at = deadline
WHERE queue = ?1 AND group_hash = ?2 AND stage < 2
