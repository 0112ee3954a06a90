-- All versions of one node.
DELETE FROM graph_node WHERE graph = ?1 AND id = ?2
