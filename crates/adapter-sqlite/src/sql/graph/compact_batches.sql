-- Answers of a stretch are kept as long as the log retains their revision.
DELETE FROM graph_batch WHERE graph = ?1 AND id > ?2 AND id <= ?3 AND revision <= ?4
