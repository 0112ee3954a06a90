-- Only the current lease.
DELETE FROM hexmem.cache_flights AS f WHERE f.digest = $1 AND f.lease = $2 AND f.expires_at > hexmem.now()
