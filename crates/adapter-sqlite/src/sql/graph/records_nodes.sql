-- Ids of nodes of which a version is kept, after that of the cursor.
SELECT DISTINCT id FROM graph_node WHERE graph = ?1 AND id > ?2 ORDER BY id LIMIT ?3
