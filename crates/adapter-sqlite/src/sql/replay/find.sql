-- A remembered answer, while its window is open.
SELECT answer FROM replay WHERE op_hash = ?1 AND expires_at > ?2
