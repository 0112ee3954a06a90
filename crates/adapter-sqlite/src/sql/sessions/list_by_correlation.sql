-- Keyset on the number, which never changes; the partial index gives the order.
SELECT * FROM sessions
WHERE correlation_key = ?1 AND seq > ?2 AND revoked_at IS NULL AND idle_expires_at > ?3
ORDER BY seq
LIMIT ?4
