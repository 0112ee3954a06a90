-- Entries up to a revision.
DELETE FROM graph_log WHERE graph = ?1 AND revision <= ?2
