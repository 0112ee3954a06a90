-- A function: drainers take turns, and what follows the lock sees what the one before has taken.
SELECT sequence, effect_id, topic, key, payload, committed_at FROM hexmem.outbox_lease($1, $2, $3, $4)
