-- The write judges by itself and judges again what another transaction changed while it waited, so that a revoked session
-- stays revoked. Times follow rules::seen and rules::idle_end. Only where nothing was written the second part looks why: a
-- session that was not due is the answer; one that was due lost a race, and the caller asks again.
WITH written AS (
    UPDATE hexmem.sessions AS s
    SET last_seen_at = greatest(s.last_seen_at, at.now),
        idle_expires_at = least(
            hexmem.later(greatest(s.last_seen_at, at.now), s.idle), s.absolute_expires_at
        ),
        ip = coalesce($3, s.ip),
        user_agent = coalesce($4, s.user_agent),
        revision = s.revision + 1,
        modified_at = at.now
    -- One instant, whatever waits in between.
    FROM (SELECT hexmem.now() AS now OFFSET 0) AS at
    WHERE s.seq = (
            SELECT t.session
            FROM hexmem.session_tokens AS t
            WHERE t.bucket = $1 AND t.hash = $2 AND (t.valid_until IS NULL OR t.valid_until > hexmem.now())
        )
        AND s.revoked_at IS NULL AND s.idle_expires_at > at.now
        AND ($5::bigint IS NULL OR hexmem.later(s.last_seen_at, $5) <= at.now)
    RETURNING
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data
)
SELECT s.*, true AS settled FROM written AS s
UNION ALL
SELECT
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data,
    $5::bigint IS NOT NULL AND hexmem.later(s.last_seen_at, $5) > hexmem.now() AS settled
FROM hexmem.session_tokens AS t
JOIN hexmem.sessions AS s ON s.seq = t.session
WHERE NOT EXISTS (SELECT FROM written)
    AND t.bucket = $1 AND t.hash = $2 AND (t.valid_until IS NULL OR t.valid_until > hexmem.now())
    AND s.revoked_at IS NULL AND s.idle_expires_at > hexmem.now()
