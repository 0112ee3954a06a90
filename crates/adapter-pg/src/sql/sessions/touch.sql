-- Looks and, when a write is due, judges again what it writes to: a row that another transaction changed meanwhile is
-- read anew, so that a revoked session stays revoked. Times follow rules::seen and rules::idle_end. A row that was due
-- and not written lost a race: the caller asks again.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now
),
seen AS MATERIALIZED (
    SELECT s.*, ($5::bigint IS NULL OR hexmem.later(s.last_seen_at, $5) <= at.now) AS due
    FROM hexmem.session_tokens AS t
    JOIN hexmem.sessions AS s ON s.seq = t.session
    CROSS JOIN at
    WHERE t.bucket = $1 AND t.hash = $2 AND (t.valid_until IS NULL OR t.valid_until > at.now)
        AND s.revoked_at IS NULL AND s.idle_expires_at > at.now
),
written AS (
    UPDATE hexmem.sessions AS s
    SET last_seen_at = greatest(s.last_seen_at, at.now),
        idle_expires_at = least(
            hexmem.later(greatest(s.last_seen_at, at.now), s.idle), s.absolute_expires_at
        ),
        ip = coalesce($3, s.ip),
        user_agent = coalesce($4, s.user_agent),
        revision = s.revision + 1,
        modified_at = at.now
    FROM at
    WHERE s.seq = (SELECT seen.seq FROM seen WHERE seen.due)
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
    NOT s.due AS settled
FROM seen AS s
WHERE NOT EXISTS (SELECT FROM written)
