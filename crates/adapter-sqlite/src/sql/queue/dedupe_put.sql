-- Takes a key; an entry whose window is over makes way.
INSERT INTO queue_dedupe (queue, key, command, until, set_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (queue, key) DO UPDATE SET
    command = excluded.command, until = excluded.until, set_at = excluded.set_at
