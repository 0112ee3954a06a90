-- The places of points, as one row.
SELECT coalesce(json_group_array(p.at), '[]')
FROM json_each(?2) AS j
CROSS JOIN vector_points AS p ON p.collection = ?1 AND p.id = unhex(j.value)
