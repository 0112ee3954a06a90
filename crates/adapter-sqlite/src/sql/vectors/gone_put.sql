-- Tombstones of points, from the rows that are about to go.
INSERT INTO vector_gone (collection, id, version, deleted_at)
SELECT p.collection, p.id, ?2, ?3
FROM json_each(?1) AS j CROSS JOIN vector_points AS p ON p.at = j.value
ON CONFLICT (collection, id) DO UPDATE SET
    version = excluded.version, deleted_at = excluded.deleted_at
