-- Every session of every tenant, dead ones included, in the order of their numbers, with their tokens. A page ends after
-- the row that crosses $3 bytes of data; the lengths are summed up before any is read. more: whether rows follow this one.
SELECT
    s.seq, s.id, s.tenant, s.user_name, s.created_at, s.last_seen_at, s.idle_expires_at, s.absolute_expires_at,
    s.token_issued_at, s.version, s.last_op, s.parent, s.auth_hash, s.cluster, s.correlation, s.service, s.ip,
    s.user_agent, s.data,
    s.revoked_at, s.modified_at, s.idle, s.retention, s.revision, s.evicted,
    t.hashes, t.replaced, t.ends, s.place < s.found AS more
FROM (
    SELECT
        page.*,
        sum(octet_length(page.data)) OVER (ORDER BY page.seq) - octet_length(page.data) AS before,
        row_number() OVER (ORDER BY page.seq) AS place,
        count(*) OVER () AS found
    FROM (SELECT * FROM hexmem.sessions WHERE seq > $1 ORDER BY seq LIMIT $2 + 1) AS page
) AS s
LEFT JOIN LATERAL (
    SELECT
        array_agg(t.hash ORDER BY t.hash) AS hashes,
        array_agg(t.replaces ORDER BY t.hash) AS replaced,
        array_agg(t.valid_until ORDER BY t.hash) AS ends
    FROM hexmem.session_tokens AS t
    WHERE t.session = s.seq
) AS t ON true
WHERE s.before < $3 AND s.place <= $2
ORDER BY s.seq
