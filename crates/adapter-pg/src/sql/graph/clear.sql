-- A little of what deleted graphs left.
SELECT hexmem.graph_clear($1)
