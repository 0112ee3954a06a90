-- When a key was taken.
SELECT set_at FROM queue_dedupe WHERE queue = ?1 AND key = ?2
