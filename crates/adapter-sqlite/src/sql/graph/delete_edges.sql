-- All edges of a graph.
DELETE FROM graph_edge WHERE graph = ?1
