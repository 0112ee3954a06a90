-- What a restored point competes with: the point that is there, or its tombstone.
SELECT p.version, p.modified_at FROM vector_points AS p WHERE p.collection = ?1 AND p.id = ?2
UNION ALL
SELECT g.version, g.deleted_at FROM vector_gone AS g WHERE g.collection = ?1 AND g.id = ?2
