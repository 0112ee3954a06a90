-- The last versions of what is restored.
SELECT * FROM hexmem.graph_load($1, $2, $3, '{}', '{}', '{}')
