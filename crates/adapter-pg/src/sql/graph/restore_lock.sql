-- The row of a graph, made where it is missing, locked until the restore is committed.
SELECT * FROM hexmem.graph_lock($1, $2, $3)
