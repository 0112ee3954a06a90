-- When a key was taken.
SELECT 1::bigint, set_at FROM hexmem.queue_dedupe WHERE queue = $1 AND key_hash = $2
