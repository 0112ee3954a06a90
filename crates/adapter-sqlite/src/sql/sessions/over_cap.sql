-- What a new session pushes out: all but the ?3 that were seen last, the longest unseen first.
SELECT id FROM (
    SELECT id, last_seen_at, created_at FROM sessions
    WHERE owner = ?1 AND revoked_at IS NULL AND idle_expires_at > ?2
    ORDER BY last_seen_at DESC, created_at DESC, id DESC
    LIMIT -1 OFFSET ?3
)
ORDER BY last_seen_at, created_at, id
