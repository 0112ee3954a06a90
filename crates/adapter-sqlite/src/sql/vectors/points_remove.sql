-- By key, many at once.
DELETE FROM vector_points WHERE at IN (SELECT value FROM json_each(?1))
