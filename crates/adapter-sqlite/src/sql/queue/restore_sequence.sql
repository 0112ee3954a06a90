-- New commands come after those that were restored.
UPDATE queue SET next_sequence = max(next_sequence, ?2 + 1) WHERE queue = ?1
