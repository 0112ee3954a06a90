-- Keyset on the name within the tenant. An upper bound is always given: X'FF' is above all UTF-8.
SELECT name FROM graph
WHERE tenant = ?1 AND name > ?2 AND name >= ?3 AND name < ?4 AND created_at IS NOT NULL AND deleted_at IS NULL
ORDER BY name
LIMIT ?5
