-- A page of the dense vectors of a channel, in order of place.
SELECT d.ord, d.embedding FROM hexmem.vector_dense d
WHERE d.collection = $1 AND d.channel = $2 AND d.ord > $3
ORDER BY d.ord LIMIT $4
