-- Candidates that were touched since their bound was written get their present end as the new bound.
UPDATE sessions
SET sweep_at = min(coalesce(revoked_at, idle_expires_at), idle_expires_at) + retention
WHERE seq IN (SELECT seq FROM sessions WHERE sweep_at <= ?1 ORDER BY sweep_at LIMIT ?2)
    AND min(coalesce(revoked_at, idle_expires_at), idle_expires_at) + retention > ?1
