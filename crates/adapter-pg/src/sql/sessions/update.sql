-- Compare and set. A row that is not written tells why: another version, or a repeat by its last_op. One that should
-- have been written and was not lost a race: the caller asks again. Data that was just sent is not sent back.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now
),
seen AS MATERIALIZED (
    SELECT s.*
    FROM hexmem.session_tokens AS t
    JOIN hexmem.sessions AS s ON s.seq = t.session
    CROSS JOIN at
    WHERE t.bucket = $1 AND t.hash = $2 AND (t.valid_until IS NULL OR t.valid_until > at.now)
        AND s.revoked_at IS NULL AND s.idle_expires_at > at.now
),
written AS (
    UPDATE hexmem.sessions AS s
    SET data = $3,
        version = s.version + 1,
        last_op = $5,
        revision = s.revision + 1,
        modified_at = at.now
    FROM at
    WHERE s.seq = (SELECT seen.seq FROM seen)
        AND s.revoked_at IS NULL AND s.idle_expires_at > at.now
        AND s.version = $4 AND s.last_op IS DISTINCT FROM $5
    RETURNING
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, NULL::text AS data
),
pushed AS (
    SELECT hexmem.push_effects($6, $7, $8, $9, $10, $11) FROM written WHERE cardinality($6::uuid[]) > 0
)
SELECT s.*, 'written' AS outcome FROM written AS s LEFT JOIN pushed ON true
UNION ALL
SELECT
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data,
    CASE
        WHEN s.last_op = $5 THEN 'repeat'
        WHEN s.version = $4 THEN 'lost'
        ELSE 'conflict'
    END AS outcome
FROM seen AS s
WHERE NOT EXISTS (SELECT FROM written)
