-- Whether a new command of a group must wait behind another.
SELECT EXISTS (
    SELECT 1 FROM queue_command WHERE queue = ?1 AND group_hash = ?2 AND stage <= 3
)
