-- Keyset on the number, which never changes; the partial index gives the order.
SELECT
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data
FROM hexmem.sessions AS s
WHERE s.cluster_key = $1 AND s.seq > $2 AND s.revoked_at IS NULL AND s.idle_expires_at > hexmem.now()
ORDER BY s.seq
LIMIT $3
