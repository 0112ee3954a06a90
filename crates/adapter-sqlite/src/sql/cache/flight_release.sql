-- Only the current lease.
DELETE FROM cache_flight WHERE digest = ?1 AND lease = ?2 AND expires_at > ?3
