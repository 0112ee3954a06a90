-- From the prefix on; the caller stops at the first name without it.
SELECT name FROM vector_collections
WHERE tenant = ?1 AND name >= ?2 AND name > ?3 AND spec IS NOT NULL
ORDER BY name
LIMIT ?4
