-- A follower asks again and again: it need not take the write lock.
SELECT expires_at FROM cache_flight WHERE digest = ?1 AND expires_at > ?2
