-- The tokens of a page of sessions.
SELECT session, hash, replaces, valid_until FROM session_tokens WHERE session BETWEEN ?1 AND ?2
