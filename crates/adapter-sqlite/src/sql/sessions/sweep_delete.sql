-- The same candidates: those past their retention go, and their tokens with them.
DELETE FROM sessions
WHERE seq IN (SELECT seq FROM sessions WHERE sweep_at <= ?1 ORDER BY sweep_at LIMIT ?2)
    AND min(coalesce(revoked_at, idle_expires_at), idle_expires_at) + retention <= ?1
