-- All nodes of a graph.
DELETE FROM graph_node WHERE graph = ?1
