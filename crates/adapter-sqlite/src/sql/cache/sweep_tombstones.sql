-- Invalidations whose time has passed: every ticket from before them is too old by now.
DELETE FROM cache_entry
WHERE id IN (
    SELECT id FROM cache_entry WHERE expires_at IS NULL AND remembered_until <= ?1
    ORDER BY remembered_until LIMIT ?2
)
