-- A token, whatever became of it and of its session: what a create and a rotation must know before they write.
SELECT session, replaces, valid_until FROM session_tokens WHERE bucket = ?1 AND hash = ?2
