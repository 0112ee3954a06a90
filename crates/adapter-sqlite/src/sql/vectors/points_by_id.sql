-- Whole points; absent ones give no row.
SELECT p.at, p.id, p.version, p.modified_at, p.payload, p.sparse
FROM json_each(?2) AS j
CROSS JOIN vector_points AS p ON p.collection = ?1 AND p.id = unhex(j.value)
