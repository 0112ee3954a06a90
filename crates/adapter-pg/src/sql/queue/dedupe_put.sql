-- A remembered key as its record has it.
INSERT INTO hexmem.queue_dedupe (queue, key_hash, key, command, until, set_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (queue, key_hash) DO UPDATE SET
    command = EXCLUDED.command, until = EXCLUDED.until, set_at = EXCLUDED.set_at
