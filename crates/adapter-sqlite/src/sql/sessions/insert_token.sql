-- A token is inserted once: taken means no row, and the caller gives up its transaction.
INSERT INTO session_tokens (bucket, hash, session, replaces, valid_until)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (bucket, hash) DO NOTHING
