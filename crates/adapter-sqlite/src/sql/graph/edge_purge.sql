-- All versions of one edge.
DELETE FROM graph_edge WHERE graph = ?1 AND id = ?2
