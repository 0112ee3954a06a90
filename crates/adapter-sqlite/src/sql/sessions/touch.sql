-- One statement judges and writes, so that nothing comes between: a revoked session stays revoked. The times
-- follow rules::seen and rules::idle_end.
UPDATE sessions
SET last_seen_at = max(last_seen_at, ?3),
    idle_expires_at = min(max(last_seen_at, ?3) + idle, absolute_expires_at),
    ip = coalesce(?4, ip),
    user_agent = coalesce(?5, user_agent),
    revision = revision + 1,
    modified_at = ?3
WHERE seq = (
        SELECT session FROM session_tokens
        WHERE bucket = ?1 AND hash = ?2 AND (valid_until IS NULL OR valid_until > ?3)
    )
    AND revoked_at IS NULL AND idle_expires_at > ?3
    AND (?6 IS NULL OR last_seen_at + ?6 <= ?3)
RETURNING *
