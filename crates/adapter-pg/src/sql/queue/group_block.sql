-- A restore may have put a command before the head of its group: all wait, then the head is chosen anew.
UPDATE hexmem.queue_command SET
    stage = 2, due_at = CASE WHEN deadline IS NOT NULL THEN GREATEST(deadline, hexmem.now()) END
WHERE queue = $1 AND group_hash = $2 AND stage IN (0, 1, 8)
