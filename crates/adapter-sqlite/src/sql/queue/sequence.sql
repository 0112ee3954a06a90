-- Hands out the next places in the order of enqueues.
UPDATE queue SET next_sequence = next_sequence + ?2 WHERE queue = ?1
RETURNING next_sequence - ?2
