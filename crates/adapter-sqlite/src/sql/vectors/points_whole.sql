-- Whole points by their places.
SELECT p.at, p.id, p.version, p.modified_at, p.payload, p.sparse
FROM json_each(?1) AS j
CROSS JOIN vector_points AS p ON p.at = j.value
