-- A queue comes to be with the first thing that is kept for it. Nothing happens where it is there.
INSERT INTO queue (queue_hash, tenant, name) VALUES (?1, ?2, ?3)
ON CONFLICT (queue_hash) DO NOTHING
