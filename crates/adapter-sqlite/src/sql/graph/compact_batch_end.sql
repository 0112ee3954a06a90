-- The id at the end of the next stretch of remembered batches.
SELECT id FROM graph_batch WHERE graph = ?1 AND id > ?2 ORDER BY id LIMIT 1 OFFSET ?3
