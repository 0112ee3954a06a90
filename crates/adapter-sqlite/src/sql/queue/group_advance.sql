-- The oldest unfinished command of a group becomes its head, unless one of them is held. The due instant is
-- that of the shared rule: the end of a delay or the deadline, whichever is first.
UPDATE queue_command SET
    stage = iif(ready_at > ?3, 1, 0),
    due_at = iif(ready_at > ?3, min(ready_at, coalesce(deadline, ready_at)), deadline)
WHERE stage = 2
    AND row = (
        SELECT row FROM queue_command
        WHERE queue = ?1 AND group_hash = ?2 AND stage <= 3
        ORDER BY sequence, id LIMIT 1)
    AND NOT EXISTS (
        SELECT 1 FROM queue_command WHERE queue = ?1 AND group_hash = ?2 AND stage = 3)
