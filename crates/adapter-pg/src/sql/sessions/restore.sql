-- Newer by revision, then by time of change, replaces what is there, which keeps its place in listings; decided under the
-- lock of the row. Each session is given once; in the order of ids, as whoever else locks several sessions.
INSERT INTO hexmem.sessions AS s (
    owner, id, tenant, user_name, created_at, last_seen_at, idle_expires_at, absolute_expires_at,
    token_issued_at, revoked_at, modified_at, sweep_at, idle, retention, version, revision, last_op, parent,
    auth_hash, cluster, cluster_key, correlation, correlation_key, service, ip, user_agent, evicted, data
)
SELECT
    given.owner, given.id, given.tenant, given.user_name, given.created_at, given.last_seen_at,
    given.idle_expires_at, given.absolute_expires_at, given.token_issued_at, given.revoked_at,
    given.modified_at, given.sweep_at, given.idle, given.retention, given.version, given.revision,
    given.last_op, given.parent, given.auth_hash, given.cluster, given.cluster_key, given.correlation,
    given.correlation_key, given.service, given.ip, given.user_agent, given.evicted::uuid[], given.data
FROM unnest(
    $1::bytea[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
    $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::uuid[], $18::uuid[], $19::bytea[],
    $20::text[], $21::bytea[], $22::text[], $23::bytea[], $24::text[], $25::text[], $26::text[], $27::text[],
    $28::text[]
) AS given (
    owner, id, tenant, user_name, created_at, last_seen_at, idle_expires_at, absolute_expires_at,
    token_issued_at, revoked_at, modified_at, sweep_at, idle, retention, version, revision, last_op, parent,
    auth_hash, cluster, cluster_key, correlation, correlation_key, service, ip, user_agent, evicted, data
)
ORDER BY given.owner, given.id
ON CONFLICT (owner, id) DO UPDATE SET
    created_at = excluded.created_at, last_seen_at = excluded.last_seen_at,
    idle_expires_at = excluded.idle_expires_at, absolute_expires_at = excluded.absolute_expires_at,
    token_issued_at = excluded.token_issued_at, revoked_at = excluded.revoked_at,
    modified_at = excluded.modified_at, sweep_at = excluded.sweep_at, idle = excluded.idle,
    retention = excluded.retention, version = excluded.version, revision = excluded.revision,
    last_op = excluded.last_op, parent = excluded.parent, auth_hash = excluded.auth_hash,
    cluster = excluded.cluster, cluster_key = excluded.cluster_key, correlation = excluded.correlation,
    correlation_key = excluded.correlation_key, service = excluded.service, ip = excluded.ip,
    user_agent = excluded.user_agent, evicted = excluded.evicted, data = excluded.data
WHERE (excluded.revision, excluded.modified_at) > (s.revision, s.modified_at)
RETURNING s.owner, s.id, s.seq
