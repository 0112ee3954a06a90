-- The longest expired first.
SELECT id FROM cache_entry WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
