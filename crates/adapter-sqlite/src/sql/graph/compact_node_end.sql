-- The id at the end of the next stretch of nodes.
SELECT id FROM graph_node WHERE graph = ?1 AND id > ?2 ORDER BY id LIMIT 1 OFFSET ?3
