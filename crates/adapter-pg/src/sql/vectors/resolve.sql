-- A collection by its own name or an alias's, with the dense vectors that have an index.
SELECT c.id, c.version, c.points, c.spec,
    ARRAY(SELECT i.channel FROM hexmem.vector_indexes i WHERE i.collection = c.id)
FROM hexmem.vector_collections c
WHERE c.id = hexmem.vector_reach($1) AND c.spec IS NOT NULL
