-- The row of a graph.
SELECT id FROM hexmem.graph WHERE digest = $1
