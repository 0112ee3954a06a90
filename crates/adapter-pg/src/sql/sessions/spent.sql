-- The same look-ups as find, for a token that has ended while its session has not.
SELECT
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data, t.valid_until
FROM hexmem.session_tokens AS t
JOIN hexmem.sessions AS s ON s.seq = t.session
WHERE t.bucket = $1 AND t.hash = $2 AND t.valid_until <= hexmem.now()
    AND s.revoked_at IS NULL AND s.idle_expires_at > hexmem.now()
