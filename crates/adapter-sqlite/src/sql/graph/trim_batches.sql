-- Answers are kept as long as the log retains their revision.
DELETE FROM graph_batch WHERE graph = ?1 AND revision <= ?2
