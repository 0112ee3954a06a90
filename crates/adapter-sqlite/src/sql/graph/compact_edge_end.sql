-- The id at the end of the next stretch of edges.
SELECT id FROM graph_edge WHERE graph = ?1 AND id > ?2 ORDER BY id LIMIT 1 OFFSET ?3
