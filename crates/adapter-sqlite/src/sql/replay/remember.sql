-- Replaces an answer whose window has passed but that was not pruned yet.
INSERT INTO replay (op_hash, answer, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT (op_hash) DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at
