-- What is known of points: of those that are there, and of those that are gone.
SELECT p.id, p.version, p.modified_at FROM hexmem.vector_points p WHERE p.collection = $1 AND p.id = ANY ($2)
UNION ALL
SELECT g.id, g.version, g.deleted_at FROM hexmem.vector_gone g WHERE g.collection = $1 AND g.id = ANY ($2)
