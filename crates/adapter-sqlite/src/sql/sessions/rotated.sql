-- Only what a rotation changes in the session itself.
UPDATE sessions
SET token_issued_at = ?2,
    auth_hash = coalesce(?3, auth_hash),
    ip = coalesce(?4, ip),
    user_agent = coalesce(?5, user_agent),
    revision = revision + 1,
    modified_at = ?2
WHERE seq = ?1
RETURNING *
