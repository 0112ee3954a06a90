-- How an index stands.
SELECT born, version, up_to, points, precision FROM vector_near WHERE collection = ?1 AND channel = ?2
