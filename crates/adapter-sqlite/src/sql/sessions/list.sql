-- Keyset on the id, which never changes; the unique index gives the order.
SELECT * FROM sessions
WHERE owner = ?1 AND id > ?2 AND revoked_at IS NULL AND idle_expires_at > ?3
ORDER BY id
LIMIT ?4
