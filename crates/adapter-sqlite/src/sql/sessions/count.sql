-- Exact: reads each unrevoked session of the tenant, because no index moves with a touch.
SELECT count(*) FROM sessions WHERE tenant = ?1 AND revoked_at IS NULL AND idle_expires_at > ?2
