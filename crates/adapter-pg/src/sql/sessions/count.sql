-- Exact: reads each unrevoked session of the tenant, because no index moves with a touch.
SELECT count(*)
FROM hexmem.sessions AS s
WHERE s.tenant = $1 AND s.revoked_at IS NULL AND s.idle_expires_at > hexmem.now()
