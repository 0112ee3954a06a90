-- Of owners that did not come back.
DELETE FROM cache_flight
WHERE digest IN (SELECT digest FROM cache_flight WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
