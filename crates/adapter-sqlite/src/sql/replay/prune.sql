-- A few at a time, with each answer that is remembered: the table stays near its live size.
DELETE FROM replay
WHERE op_hash IN (SELECT op_hash FROM replay WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 16)
