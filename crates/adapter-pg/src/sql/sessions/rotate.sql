-- One call, one transaction: the function locks the session first and looks at its tokens then.
SELECT
    (r.found).seq, (r.found).id, (r.found).tenant, (r.found).user_name, (r.found).created_at,
    (r.found).last_seen_at, (r.found).idle_expires_at, (r.found).absolute_expires_at,
    (r.found).token_issued_at, (r.found).version, (r.found).last_op, (r.found).parent, (r.found).auth_hash,
    (r.found).cluster, (r.found).correlation, (r.found).service, (r.found).ip, (r.found).user_agent,
    (r.found).data,
    r.outcome
FROM hexmem.session_rotate($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS r
