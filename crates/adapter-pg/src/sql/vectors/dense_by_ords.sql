-- The dense vectors of some points.
SELECT d.ord, d.embedding FROM hexmem.vector_dense d
WHERE d.collection = $1 AND d.channel = $2 AND d.ord = ANY ($3)
