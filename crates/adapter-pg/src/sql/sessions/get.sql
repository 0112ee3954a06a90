-- A live session of an owner.
SELECT
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data
FROM hexmem.sessions AS s
WHERE s.owner = $1 AND s.id = $2 AND s.revoked_at IS NULL AND s.idle_expires_at > hexmem.now()
