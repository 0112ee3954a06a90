-- Compare and set: no row means absence, another version, or a repeat; the caller looks which, in the same
-- transaction.
UPDATE sessions
SET data = ?4,
    version = version + 1,
    last_op = ?6,
    revision = revision + 1,
    modified_at = ?3
WHERE seq = (
        SELECT session FROM session_tokens
        WHERE bucket = ?1 AND hash = ?2 AND (valid_until IS NULL OR valid_until > ?3)
    )
    AND revoked_at IS NULL AND idle_expires_at > ?3
    AND version = ?5 AND last_op IS NOT ?6
RETURNING *
