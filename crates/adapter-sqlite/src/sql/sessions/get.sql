-- A live session of an owner.
SELECT * FROM sessions
WHERE owner = ?1 AND id = ?2 AND revoked_at IS NULL AND idle_expires_at > ?3
