-- The revision that readers see.
SELECT CASE WHEN created_at IS NOT NULL AND deleted_at IS NULL THEN revision ELSE 0 END
FROM hexmem.graph
WHERE digest = $1
