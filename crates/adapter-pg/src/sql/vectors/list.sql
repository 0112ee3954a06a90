-- Keyset by name; the greatest text of the prefix as the other bound keeps it one range of the index.
SELECT c.name FROM hexmem.vector_collections c
WHERE c.tenant = $1 AND c.spec IS NOT NULL AND c.name >= $2 AND c.name <= $3 AND c.name > $4
ORDER BY c.name LIMIT $5
