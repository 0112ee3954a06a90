-- seq is NULL for a new session, and the old number when a record replaces one: listings keep their place.
INSERT INTO sessions (
    seq, tenant, user_name, owner, id, data, cluster, cluster_key, correlation, correlation_key,
    service, ip, user_agent, auth_hash, created_at, last_seen_at, idle_expires_at,
    absolute_expires_at, token_issued_at, revoked_at, idle, retention, version, revision,
    modified_at, last_op, evicted, sweep_at, parent
)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
    ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29
)
RETURNING seq
