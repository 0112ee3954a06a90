-- Tokens that ended longer ago than a repeat can come.
DELETE FROM session_tokens WHERE session = ?1 AND valid_until <= ?2
