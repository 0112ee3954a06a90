-- Keyset on the id, which never changes; the partial index gives the order and has no revoked session.
SELECT
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data
FROM hexmem.sessions AS s
WHERE s.tenant = $1 AND s.owner = $2 AND s.id >= $3 AND s.revoked_at IS NULL
    AND s.idle_expires_at > hexmem.now()
ORDER BY s.id
LIMIT $4
